/** One device, beside the list or instead of it. */
import { useMediaQuery } from "@mantine/hooks";
import { useNavigate, useParams } from "@tanstack/react-router";
import { useTitle } from "../components/Page";
import { DevicePanel } from "../features/device/DevicePanel";
import { INSTEAD_OF_LIST } from "../features/devices/widths";
import { useDevice } from "../live";

export function Device() {
  const { deviceId } = useParams({ strict: false });
  const id = Number(deviceId);
  const narrow = useMediaQuery(INSTEAD_OF_LIST, undefined, { getInitialValueInEffect: false }) ?? false;
  const navigate = useNavigate();
  useTitle(useDevice(id)?.device_name ?? "Device");
  return <DevicePanel id={id} narrow={narrow} onClose={() => navigate({ to: "/", search: true })} />;
}
