import { defineConfig } from "vitest/config";

// Real hosts, engines and builds: long limits, which no good run reaches.
const patient = { testTimeout: 300_000, hookTimeout: 900_000 };

export default defineConfig({
  test: {
    projects: [
      { test: { name: "unit", include: ["test/unit/**/*.test.ts"] } },
      {
        test: {
          name: "real",
          include: ["test/**/*.test.ts"],
          exclude: ["test/unit/**", "test/rotation/**"],
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
          ...patient,
        },
      },
      {
        // Up to eleven hosts in one file: more at a time would meet the kernel's limit of inotify instances.
        test: {
          name: "rotation",
          include: ["test/rotation/**/*.test.ts"],
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
          ...patient,
        },
      },
    ],
  },
});
