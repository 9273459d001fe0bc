import { Sam2Error } from "./errors.js";

/** Throws `UNSUPPORTED_INPUT` unless an option is a number, `least` or more and `most` or less. */
export function checkNumber(name: string, value: unknown, least: number, most = Number.MAX_VALUE): void {
  if (typeof value === "number" && value >= least && value <= most) return;
  const range = most === Number.MAX_VALUE ? `${least} or more` : `from ${least} to ${most}`;
  throw new Sam2Error("UNSUPPORTED_INPUT", `${name} must be a number, ${range}, not ${value}.`);
}
