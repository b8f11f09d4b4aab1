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
          exclude: ["test/unit/**", "test/rotation/many-clients.test.ts"],
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
          ...patient,
        },
      },
      {
        // Eleven hosts: with any beside them they would meet the kernel's limit of inotify instances.
        test: {
          name: "many-clients",
          include: ["test/rotation/many-clients.test.ts"],
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
          ...patient,
        },
      },
    ],
  },
});
