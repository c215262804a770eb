/**
 * What can be done to a device. The server's answer goes into the live store by the same reducer as its events do, so the
 * screen is right even before the event arrives.
 *
 * @typedef {import("../../live/rows").Device} Device
 */
import { optimistic, store } from "../../live";
import { DEVICES_CHANGED } from "../../live/events";
import { api, ask } from "../../lib/api";
import { Problem } from "../../lib/problem";

const TAG_ATTEMPTS = 3;

/** @param {Device} device */
function learn(device) {
  store.dispatch(DEVICES_CHANGED, { devices: [device] });
  return device;
}

/** @param {Device} device */
const forget = ({ id, rev }) => store.dispatch(DEVICES_CHANGED, { removed: [{ id, rev }] });

/** @param {number} id @param {{ device_name?: string, tags?: Record<string, string>, user_id?: number | null }} body @param {number} [rev] the row that was looked at */
const patch = async (id, body, rev) =>
  learn(
    await ask(
      api.PATCH("/api/v1/devices/{device_id}", {
        params: { path: { device_id: id }, ...(rev !== undefined && { header: { "if-match": `"${rev}"` } }) },
        body,
      }),
    ),
  );

/** Shown at once, undone if refused. @param {Device} device @param {string} name */
export const rename = (device, name) =>
  optimistic.during(device.id, { device_name: name }, () => patch(device.id, { device_name: name }));

/** @param {Device} device @param {number} userId @param {string} email */
export const giveTo = (device, userId, email) =>
  optimistic.during(device.id, { user_id: userId, owner: email }, () => patch(device.id, { user_id: userId }));

/**
 * Tags are replaced as a whole, so the change is made anew on the newest row when somebody else was faster.
 *
 * @param {Device} device
 * @param {(tags: Record<string, string>) => Record<string, string>} change
 */
export const changeTags = (device, change) =>
  optimistic.during(device.id, { tags: change(device.tags) }, async () => {
    let newest = device;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await patch(device.id, { tags: change(newest.tags) }, newest.rev);
      } catch (error) {
        if (!(error instanceof Problem) || error.status !== 412 || attempt === TAG_ATTEMPTS) throw error;
        newest = learn(await readDevice(device.id));
      }
    }
  });

/** @param {number} id @returns {Promise<Device>} */
export const readDevice = (id) => ask(api.GET("/api/v1/devices/{device_id}", { params: { path: { device_id: id } } }));

/** @param {Device} device */
export async function deleteDevice(device) {
  await ask(api.DELETE("/api/v1/devices/{device_id}", { params: { path: { device_id: device.id } } }));
  forget(device);
}

/** @param {Device} device */
export const acceptDevice = async (device) =>
  learn(await ask(api.POST("/api/v1/devices/{device_id}/accept", { params: { path: { device_id: device.id } } })));

/** @param {Device} device */
export async function rejectDevice(device) {
  await ask(api.POST("/api/v1/devices/{device_id}/reject", { params: { path: { device_id: device.id } } }));
  forget(device);
}
