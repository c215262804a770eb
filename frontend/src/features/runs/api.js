/**
 * Everything that runs ask of the REST API.
 *
 * @typedef {import("../../live/runs").Run} Run
 * @typedef {import("../../live/runs").Task} Task
 * @typedef {{ command?: string[], shell?: string, script?: string, interpreter?: string[], args?: string[], user?: string, cwd?: string, env?: Record<string, string>, timeout_s?: number, expires_s?: number, max_parallel?: number | null, output_quota_bytes?: number | null }} Command
 * @typedef {Command & { targets: { selector: string } | { device_ids: number[] } }} RunRequest
 * @typedef {{ id: number, device_name: string, why: string }} Excluded
 * @typedef {{ total: number, online: number, offline: number, excluded_total: number, devices: { id: number, device_name: string, status: string }[], excluded: Excluded[], warnings: string[] }} Preview
 * @typedef {{ seq: number, stream: number, data: string }} Chunk
 * @typedef {{ chunks: Chunk[], next_seq: number, complete: boolean }} OutputPart
 * @typedef {{ digest: string, state: Task["state"], exit_code: number | null, count: number, sample_task_id: string }} OutputGroup
 * @typedef {{ id: string, name: string, request: Command }} SavedCommand
 * @typedef {{ state?: string, digest?: string, q?: string }} TaskFilter
 */
import { api, ask } from "../../lib/api";

/** @type {any} */
const rest = api;

/** What is not set is not sent. @param {Record<string, unknown>} query */
const given = (query) =>
  Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined && value !== ""));

/** @param {string} id */
const ofRun = (id) => ({ path: { run_id: id } });

/** @param {RunRequest} body @param {AbortSignal} [signal] @returns {Promise<Preview>} */
export const previewRun = (body, signal) => ask(rest.POST("/api/v1/runs/preview", { body, signal }));

/** @param {RunRequest} body @param {string} key the same for every attempt at this request @returns {Promise<Run>} */
export const startRun = (body, key) =>
  ask(rest.POST("/api/v1/runs", { body, params: { header: { "Idempotency-Key": key } } }));

/** @param {{ state?: string, q?: string, cursor?: string, limit?: number }} query @returns {Promise<{ items: Run[], next_cursor: string | null }>} */
export const listRuns = (query) => ask(rest.GET("/api/v1/runs", { params: { query: given(query) } }));

/** @param {string} id */
export const readRun = (id) => ask(rest.GET("/api/v1/runs/{run_id}", { params: ofRun(id) }));

/** @param {string} id @param {TaskFilter & { cursor?: string, limit?: number }} query @returns {Promise<{ items: Task[], next_cursor: string | null }>} */
export const listTasks = (id, query) =>
  ask(rest.GET("/api/v1/runs/{run_id}/tasks", { params: { ...ofRun(id), query: given(query) } }));

/** @param {number} deviceId @param {{ cursor?: string, limit?: number }} query @returns {Promise<{ items: Task[], next_cursor: string | null }>} */
export const listDeviceTasks = (deviceId, query) =>
  ask(
    rest.GET("/api/v1/devices/{device_id}/tasks", { params: { path: { device_id: deviceId }, query: given(query) } }),
  );

/** @param {string} id @returns {Promise<Task>} */
export const readTask = (id) => ask(rest.GET("/api/v1/tasks/{task_id}", { params: { path: { task_id: id } } }));

/** @param {string} id */
export const listOutputs = (id) => ask(rest.GET("/api/v1/runs/{run_id}/outputs", { params: ofRun(id) }));

/** @param {string} taskId @param {number} fromSeq @param {number} limitBytes @param {AbortSignal} [signal] @returns {Promise<OutputPart>} */
export const readOutput = (taskId, fromSeq, limitBytes, signal) =>
  ask(
    rest.GET("/api/v1/tasks/{task_id}/output", {
      params: { path: { task_id: taskId }, query: { from_seq: fromSeq, limit_bytes: limitBytes } },
      signal,
    }),
  );

/** @param {string} taskId @param {"stdout" | "stderr"} stream where a browser downloads it, byte for byte */
export const rawOutputUrl = (taskId, stream) => `/api/v1/tasks/${taskId}/output/${stream}`;

/** @param {string} runId */
export const zipUrl = (runId) => `/api/v1/runs/${runId}/output.zip`;

/** @param {string} id */
export const cancelRun = (id) => ask(rest.POST("/api/v1/runs/{run_id}/cancel", { params: ofRun(id) }));

/** @param {string} id */
export const cancelTask = (id) =>
  ask(rest.POST("/api/v1/tasks/{task_id}/cancel", { params: { path: { task_id: id } } }));

/** @param {string} id @param {readonly Task["state"][]} states @param {string} key @returns {Promise<Run>} the new run */
export const retryRun = (id, states, key) =>
  ask(
    rest.POST("/api/v1/runs/{run_id}/retry", {
      params: { ...ofRun(id), header: { "Idempotency-Key": key } },
      body: { states },
    }),
  );

/** @returns {Promise<{ items: SavedCommand[] }>} */
export const listSaved = () => ask(rest.GET("/api/v1/saved-commands"));

/** @param {string} name @param {Command} request */
export const saveCommand = (name, request) => ask(rest.POST("/api/v1/saved-commands", { body: { name, request } }));

/** @param {string} id */
export const deleteSaved = (id) =>
  ask(rest.DELETE("/api/v1/saved-commands/{saved_id}", { params: { path: { saved_id: id } } }));

/** @param {string} selector @param {AbortSignal} [signal] @returns {Promise<{ count: number, names: string[] }>} */
export const checkSelector = (selector, signal) =>
  ask(rest.GET("/api/v1/selectors/check", { params: { query: { selector } }, signal }));
