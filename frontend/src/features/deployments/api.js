/**
 * Everything that deployments ask of the REST API.
 *
 * @typedef {import("../../lib/api-schema").components["schemas"]} Schemas
 * @typedef {import("../../live/deployments").Deployment} Deployment
 * @typedef {import("../../live/deployments").Target} Target
 * @typedef {Schemas["DecisionView"]} DecisionEntry
 * @typedef {Schemas["DeploymentPreview"]} Preview
 * @typedef {Schemas["DeviceDeploymentView"]} DeviceDeployment
 * @typedef {Partial<Schemas["StrategyInput"]>} Strategy
 * @typedef {{ release: string, targets: { selector: string } | { device_ids: number[] }, following?: boolean, strategy?: Strategy }} DeploymentRequest
 * @typedef {{ state?: Target["state"], wave?: number, attention?: boolean, q?: string }} TargetFilter
 * @typedef {{ state?: readonly Deployment["state"][], name?: string }} DeploymentFilter
 */
import { api, ask } from "../../lib/api";

/** What is not set is not sent. @param {Record<string, unknown>} query */
const given = (query) =>
  Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined && value !== ""));

/** What has a default may be left out, which the generated types do not know. @param {object} body @returns {any} */
const partly = (body) => body;

/** @param {string} id */
const of = (id) => ({ path: { deployment_id: id } });

/** @param {DeploymentRequest} body @param {AbortSignal} [signal] */
export const previewDeployment = (body, signal) =>
  ask(api.POST("/api/v1/deployments/preview", { body: partly(body), signal }));

/** @param {DeploymentRequest} body @param {string} key the same for every attempt at this request */
export const startDeployment = (body, key) =>
  ask(api.POST("/api/v1/deployments", { body: partly(body), params: { header: { "Idempotency-Key": key } } }));

/** @param {DeploymentFilter & { cursor?: string, limit?: number }} query */
export const listDeployments = (query) => ask(api.GET("/api/v1/deployments", { params: { query: given(query) } }));

/** @param {string} id */
export const readDeployment = (id) => ask(api.GET("/api/v1/deployments/{deployment_id}", { params: of(id) }));

/** @param {string} id @param {TargetFilter & { cursor?: string, limit?: number }} query */
export const listTargets = (id, { state, ...query }) =>
  ask(
    api.GET("/api/v1/deployments/{deployment_id}/targets", {
      params: { ...of(id), query: given({ ...query, state: state && [state] }) },
    }),
  );

/** @param {string} id @param {{ cursor?: string, limit?: number }} query */
export const listDecisions = (id, query) =>
  ask(api.GET("/api/v1/deployments/{deployment_id}/log", { params: { ...of(id), query: given(query) } }));

/** @param {number} deviceId @param {{ cursor?: string, limit?: number }} query */
export const listDeviceDeployments = (deviceId, query) =>
  ask(
    api.GET("/api/v1/devices/{device_id}/deployments", {
      params: { path: { device_id: deviceId }, query: given(query) },
    }),
  );

/**
 * What people do with a deployment; each answers with how it is then.
 *
 * @type {Record<import("./steering").Action, (deployment: Deployment, note: string, states: Target["state"][]) => Promise<Deployment>>}
 */
export const STEER = {
  pause: ({ id }, note) =>
    ask(api.POST("/api/v1/deployments/{deployment_id}/pause", { params: of(id), body: partly({ note }) })),
  resume: ({ id }, note) =>
    ask(api.POST("/api/v1/deployments/{deployment_id}/resume", { params: of(id), body: partly({ note }) })),
  abort: ({ id }, note) =>
    ask(api.POST("/api/v1/deployments/{deployment_id}/abort", { params: of(id), body: partly({ note }) })),
  rollback: ({ id }, note) =>
    ask(api.POST("/api/v1/deployments/{deployment_id}/rollback", { params: of(id), body: partly({ note }) })),
  promote: ({ id, wave }, note) =>
    ask(api.POST("/api/v1/deployments/{deployment_id}/promote", { params: of(id), body: partly({ wave, note }) })),
  retry: ({ id }, note, states) =>
    ask(api.POST("/api/v1/deployments/{deployment_id}/retry", { params: of(id), body: partly({ states, note }) })),
  approve: ({ id, plan_hash }, note) =>
    ask(api.POST("/api/v1/deployments/{deployment_id}/approve", { params: of(id), body: partly({ plan_hash, note }) })),
  reject: ({ id, plan_hash }, note) =>
    ask(api.POST("/api/v1/deployments/{deployment_id}/reject", { params: of(id), body: partly({ plan_hash, note }) })),
};
