import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      { test: { name: "unit", include: ["test/unit/**/*.test.ts"] } },
      {
        // Real hosts, engines and builds: two files at a time, and long limits that no good run reaches.
        test: {
          name: "real",
          include: ["test/**/*.test.ts"],
          exclude: ["test/unit/**"],
          maxWorkers: 2,
          testTimeout: 300_000,
          hookTimeout: 900_000,
        },
      },
    ],
  },
});
