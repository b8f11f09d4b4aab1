// Runs Pulumi's official installer in a process of its own, so that it can be ended when it hangs:
//   node official-installer.ts probe                  exit 0 if the download host answers
//   node official-installer.ts install VERSION ROOT   puts VERSION's programs into ROOT/bin

const [action, version, root] = process.argv.slice(2);

if (action === "probe") {
  const answer = await fetch("https://get.pulumi.com/latest-version", { method: "HEAD" });
  process.exitCode = answer.status < 500 ? 0 : 1;
} else if (action === "install" && version && root) {
  const { PulumiCommand } = await import("@pulumi/pulumi/automation/index.js");
  const { SemVer } = await import("semver");
  await PulumiCommand.install({ version: new SemVer(version), root });
} else {
  throw new Error("usage: official-installer.ts probe | install VERSION ROOT");
}
