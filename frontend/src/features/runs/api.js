/**
 * Everything that runs ask of the REST API.
 *
 * @typedef {import("../../lib/api-schema").components["schemas"]} Schemas
 * @typedef {import("../../live/runs").Run} Run
 * @typedef {import("../../live/runs").Task} Task
 * @typedef {Partial<Schemas["app__tasks__schemas__Action"]>} Command
 * @typedef {Command & { targets: { selector: string } | { device_ids: number[] } }} RunRequest
 * @typedef {Schemas["RunPreview"]} Preview
 * @typedef {Schemas["RunDetail"]} RunDetail
 * @typedef {Schemas["OutputChunkView"]} Chunk
 * @typedef {Schemas["OutputPage"]} OutputPart
 * @typedef {Schemas["OutputGroup"]} OutputGroup
 * @typedef {Schemas["DeviceTask"]} DeviceTask
 * @typedef {{ state?: Task["state"], digest?: string, q?: string }} TaskFilter
 */
import { api, ask } from "../../lib/api";

/** What is not set is not sent. @param {Record<string, unknown>} query */
const given = (query) =>
  Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined && value !== ""));

/** What has a default may be left out, which the generated types do not know. @param {object} body @returns {any} */
const partly = (body) => body;

/** @param {string} id */
const ofRun = (id) => ({ path: { run_id: id } });

/** @param {RunRequest} body @param {AbortSignal} [signal] */
export const previewRun = (body, signal) => ask(api.POST("/api/v1/runs/preview", { body: partly(body), signal }));

/** @param {RunRequest} body @param {string} key the same for every attempt at this request */
export const startRun = (body, key) =>
  ask(api.POST("/api/v1/runs", { body: partly(body), params: { header: { "Idempotency-Key": key } } }));

/** @param {{ state?: string, q?: string, by?: string, cursor?: string, limit?: number }} query */
export const listRuns = (query) => ask(api.GET("/api/v1/runs", { params: { query: given(query) } }));

/** @param {string} id */
export const readRun = (id) => ask(api.GET("/api/v1/runs/{run_id}", { params: ofRun(id) }));

/** @param {string} id @param {TaskFilter & { cursor?: string, limit?: number }} query */
export const listTasks = (id, query) =>
  ask(api.GET("/api/v1/runs/{run_id}/tasks", { params: { ...ofRun(id), query: given(query) } }));

/** @param {number} deviceId @param {{ cursor?: string, limit?: number }} query */
export const listDeviceTasks = (deviceId, query) =>
  ask(api.GET("/api/v1/devices/{device_id}/tasks", { params: { path: { device_id: deviceId }, query: given(query) } }));

/** @param {string} id */
export const readTask = (id) => ask(api.GET("/api/v1/tasks/{task_id}", { params: { path: { task_id: id } } }));

/** @param {string} id */
export const listOutputs = (id) => ask(api.GET("/api/v1/runs/{run_id}/outputs", { params: ofRun(id) }));

/** @param {string} taskId @param {number} fromSeq @param {number} limitBytes @param {AbortSignal} [signal] */
export const readOutput = (taskId, fromSeq, limitBytes, signal) =>
  ask(
    api.GET("/api/v1/tasks/{task_id}/output", {
      params: { path: { task_id: taskId }, query: { from_seq: fromSeq, limit_bytes: limitBytes } },
      signal,
    }),
  );

/** @param {string} taskId @param {"stdout" | "stderr"} stream where a browser downloads it, byte for byte */
export const rawOutputUrl = (taskId, stream) => `/api/v1/tasks/${taskId}/output/${stream}`;

/** @param {string} runId */
export const zipUrl = (runId) => `/api/v1/runs/${runId}/output.zip`;

/** @param {string} id */
export const cancelRun = (id) => ask(api.POST("/api/v1/runs/{run_id}/cancel", { params: ofRun(id) }));

/** @param {string} id */
export const cancelTask = (id) =>
  ask(api.POST("/api/v1/tasks/{task_id}/cancel", { params: { path: { task_id: id } } }));

/** @param {string} id @param {readonly Task["state"][]} states @param {string} key the new run */
export const retryRun = (id, states, key) =>
  ask(
    api.POST("/api/v1/runs/{run_id}/retry", {
      params: { ...ofRun(id), header: { "Idempotency-Key": key } },
      body: { states: [...states] },
    }),
  );

export const listSaved = () => ask(api.GET("/api/v1/saved-commands"));

/** @param {string} name @param {Command} request */
export const saveCommand = (name, request) =>
  ask(api.POST("/api/v1/saved-commands", { body: { name, request: partly(request) } }));

/** @param {string} id */
export const deleteSaved = (id) =>
  ask(api.DELETE("/api/v1/saved-commands/{saved_id}", { params: { path: { saved_id: id } } }));
