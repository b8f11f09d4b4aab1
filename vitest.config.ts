import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";
import { vitestCache } from "./test/vitest-cache.ts";

// Long limits, which no good run reaches: time decides no test, on a busy computer either.
const patient = { testTimeout: 300_000, hookTimeout: 900_000 };

export default defineConfig({
  // With what it finds there, Vitest begins with the files that took longest.
  cacheDir: vitestCache,
  test: {
    projects: [
      { extends: true, test: { name: "unit", include: ["test/unit/**/*.test.ts"], ...patient } },
      {
        extends: true,
        test: {
          name: "real",
          include: ["test/**/*.test.ts"],
          exclude: ["test/unit/**"],
          maxWorkers: availableParallelism() + 1,
          sequence: { groupOrder: 1 },
          ...patient,
        },
      },
    ],
  },
});
