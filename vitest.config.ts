import { defineConfig } from "vitest/config";

/** Six and eleven hosts: with more beside them they would meet the kernel's limit of inotify instances, 128. */
const alone = ["test/rotation/interruption.test.ts", "test/rotation/many-clients.test.ts"];

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
          exclude: ["test/unit/**", ...alone],
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
          ...patient,
        },
      },
      {
        test: {
          name: "alone",
          include: alone,
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
          ...patient,
        },
      },
    ],
  },
});
