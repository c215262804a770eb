/** The address of the dialog that adds a device, above the list. */
import { useNavigate } from "@tanstack/react-router";
import { AddDeviceDialog } from "../features/enroll/AddDeviceDialog";

export function AddDevice() {
  const navigate = useNavigate();
  return <AddDeviceDialog onClose={() => navigate({ to: "/", search: true })} />;
}
