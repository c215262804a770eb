/** Where the dashboard starts: styles, what is made once, and the tree of providers. */
import "@mantine/core/styles.css";
import "./global.css";
import "./touch.css";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { MantineProvider } from "@mantine/core";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { watchStyles } from "./lib/chunks";
import { createQueryClient } from "./lib/queryClient";
import { nonce } from "./lib/nonce";
import { cssVariablesResolver, theme } from "./lib/theme";
import { createDashboardRouter } from "./router";

watchStyles();
const queryClient = createQueryClient();
const router = createDashboardRouter(queryClient);

createRoot(/** @type {HTMLElement} */ (document.getElementById("root"))).render(
  <StrictMode>
    <QueryClientProvider client={queryClient}>
      <MantineProvider
        theme={theme}
        cssVariablesResolver={cssVariablesResolver}
        defaultColorScheme="auto"
        getStyleNonce={() => nonce}
      >
        <RouterProvider router={router} />
      </MantineProvider>
    </QueryClientProvider>
  </StrictMode>,
);
