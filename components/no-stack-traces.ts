const failedStep = /resource \S+ \[command:remote:\w+\] failed to register$/;

// Why a step has failed is told with its resource. The SDK (3.259) tells once more that it has, with a stack trace of its own code,
// which is of no use to whoever has to mend a machine. So there is none.
process.prependListener("unhandledRejection", (error: unknown) => {
  if (error instanceof Error && failedStep.test(error.message)) error.stack = "";
});
