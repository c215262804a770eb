/** How an upload talks to the server: announced, sent in pieces from an offset, forgotten. */
import { api, ask } from "../../../lib/api";

/** @typedef {import("../api").Schemas["UploadView"]} UploadView */

/** @param {UploadView} view @returns {import("./upload").Session} */
const sessionOf = ({ id, offset, complete, piece_max_bytes }) => ({ id, offset, complete, pieceMost: piece_max_bytes });

/** @param {string} id */
const of = (id) => ({ path: { upload_id: id } });

/** @type {import("./upload").Transport} */
export const transport = {
  begin: async (file, signal) => sessionOf(await ask(api.POST("/api/v1/artifacts/uploads", { body: file, signal }))),

  look: async (id, signal) =>
    sessionOf(await ask(api.GET("/api/v1/artifacts/uploads/{upload_id}", { params: of(id), signal }))),

  send: async (id, offset, piece, signal) =>
    sessionOf(
      await ask(
        api.PATCH("/api/v1/artifacts/uploads/{upload_id}", {
          params: { ...of(id), header: { "Upload-Offset": offset } },
          headers: { "content-type": "application/octet-stream" },
          body: /** @type {any} */ (piece),
          bodySerializer: () => /** @type {any} */ (piece),
          fetch: (request) => fetch(request), // the usual way keeps a body as text, to send it again
          signal,
        }),
      ),
    ),

  drop: (id) => ask(api.DELETE("/api/v1/artifacts/uploads/{upload_id}", { params: of(id) })),
};
