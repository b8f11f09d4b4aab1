import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { outcome } from "../../lab/outcome.ts";
import { cacheFolder } from "../../tools/cache-folder.ts";
import { place } from "../../tools/placing.ts";
import { ProvisioningError } from "../../tools/provisioning-error.ts";
import type { Report } from "../../tools/report.ts";

const requirements = join(import.meta.dirname, "ansible", "requirements.txt");
const [oldestMajor, oldestMinor] = [3, 11]; // of Python, for ansible-core 2.19

/**
 * Installs Ansible, as `ansible/requirements.txt` pins it, into a virtual environment in the tools' cache.
 * @returns what to put before the playbook and its options
 * @throws ProvisioningError when there is no fit Python, or the packages cannot be had
 */
export async function ansiblePlaybook(report: Report): Promise<string[]> {
  const python = await pythonVersion();
  const hash = createHash("sha256")
    .update(await readFile(requirements))
    .update(python)
    .digest("hex")
    .slice(0, 12);
  const venv = join(cacheFolder(), "ansible", hash);
  await place(
    venv,
    "Ansible",
    report,
    () => existsSync(venv),
    async (folder) => {
      report("Installing Ansible for the comparison");
      await run(["python3", "-m", "venv", folder]);
      const pip = [join(folder, "bin", "python"), "-m", "pip", "install"];
      await run([...pip, "--quiet", "--disable-pip-version-check", "--requirement", requirements]);
    },
  );
  // Not bin/ansible-playbook: its first line names the folder that it was installed in, before that was renamed.
  return [join(venv, "bin", "python"), "-m", "ansible", "playbook"];
}

async function pythonVersion(): Promise<string> {
  const remedy =
    `Ansible needs Python ${oldestMajor}.${oldestMinor} or newer with its venv module ` +
    "(Debian: apt install python3 python3-venv), or leave it out with --tools ours,by-hand.";
  const ask = "import sys, ensurepip, venv; print('%d.%d' % sys.version_info[:2])";
  const { code, stdout, stderr } = await outcome(["python3", "-c", ask]).catch(() => {
    throw new ProvisioningError(`There is no python3. ${remedy}`);
  });
  if (code !== 0) {
    throw new ProvisioningError(`Python cannot make a virtual environment. ${remedy}\n${stderr}`);
  }
  const [major = 0, minor = 0] = stdout.split(".").map(Number);
  if (major < oldestMajor || (major === oldestMajor && minor < oldestMinor)) {
    throw new ProvisioningError(`Python ${stdout.trim()} is too old. ${remedy}`);
  }
  return stdout.trim();
}

async function run(argv: string[]): Promise<void> {
  const { code, stdout, stderr } = await outcome(argv);
  if (code !== 0) {
    throw new ProvisioningError(
      `Ansible could not be installed: ${argv.join(" ")} failed.\n${stdout}${stderr}`,
    );
  }
}
