import { Sam2Error } from "./errors.js";

/** Where several files are: the folder that has them all, or the address of each. */
export type Addresses<Kind extends string> = string | URL | { readonly [K in Kind]?: string | URL };

/** In full, since addresses are relative to the page. `refusal` says what is wrong with one that is none. */
export function absolute(url: string, refusal = `"${url}" is not a URL.`): string {
  try {
    return new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href).href;
  } catch (cause) {
    throw new Sam2Error("UNSUPPORTED_INPUT", refusal, { cause });
  }
}

/** The address of one of several files, which is called `file` in their folder; nothing where it is not given. */
export function addressOf<Kind extends string>(
  given: Addresses<Kind> | undefined,
  kind: Kind,
  file: string,
): string | undefined {
  if (typeof given === "string" || given instanceof URL) {
    return absolute(`${String(given).replace(/\/?$/, "/")}${file}`);
  }
  const own = given?.[kind];
  return own === undefined ? undefined : absolute(String(own));
}
