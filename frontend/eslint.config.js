import js from "@eslint/js";
import a11y from "eslint-plugin-jsx-a11y-x";
import hooks from "eslint-plugin-react-hooks";
import globals from "globals";

/** Imports point one way: pages → features → components → lib; live stands beside features and knows only lib. */
const layers = {
  lib: ["live", "components", "features", "pages"],
  live: ["components", "features", "pages"],
  components: ["live", "features", "pages"],
  features: ["pages"],
};

const oneWay = Object.entries(layers).map(([layer, above]) => ({
  files: [`src/${layer}/**/*.{js,jsx}`],
  rules: {
    "no-restricted-imports": [
      "error",
      {
        patterns: [
          { group: above.map((name) => `**/${name}/**`), message: `${layer} must not import from a layer above it.` },
        ],
      },
    ],
  },
}));

export default [
  { ignores: ["dist/**"] },
  js.configs.recommended,
  a11y.configs.strict,
  hooks.configs.flat["recommended-latest"],
  {
    files: ["src/**/*.{js,jsx}"],
    languageOptions: {
      ecmaVersion: 2024,
      sourceType: "module",
      parserOptions: { ecmaFeatures: { jsx: true } },
      globals: globals.browser,
    },
    rules: {
      "no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      eqeqeq: "error",
      "no-console": ["error", { allow: ["debug", "error"] }],
      "max-lines": ["error", { max: 400 }],
    },
  },
  { files: ["scripts/**", "*.config.js"], languageOptions: { globals: globals.node }, rules: { "no-console": "off" } },
  ...oneWay,
];
