// The processes of a browser that was started with a profile of its own, by Linux's /proc.
import { readdirSync, readFileSync } from "node:fs";

/** A file of a process; nothing where that has ended. */
export function read(pid, file) {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return "";
  }
}

/** What follows a process's name in its status line: its state, its parent, and from the 12th on its times. */
export const fields = (pid) => read(pid, "stat").split(") ").at(-1).split(" ");

const processes = () => readdirSync("/proc").filter((name) => /^\d+$/.test(name));

/** The browser itself. */
export function browserOf(profile) {
  return processes().find((pid) => {
    const command = read(pid, "cmdline");
    return command.includes(`--user-data-dir=${profile}`) && !/--type=/.test(command);
  });
}

/** Those that the browser started as `type`, such as renderer or gpu-process. */
export function processesOf(browser, type) {
  return processes().filter(
    (pid) => read(pid, "cmdline").includes(`--type=${type}`) && descends(pid, browser),
  );
}

function descends(pid, ancestor) {
  for (let at = pid, up = 0; at && at !== "0" && up < 6; at = fields(at)[1], up++)
    if (at === String(ancestor)) return true;
  return false;
}
