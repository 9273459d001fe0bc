import { Sam2Error } from "sam2-web";
import { byId } from "./dom.js";
import { toast } from "./toast.js";

/** @param unobtrusive - read out, but not shown over the picture. */
export function say(message: string, unobtrusive = false): void {
  byId("status").textContent = message;
  byId("stage").classList.toggle("quiet", unobtrusive);
}

/** Tells the visitor of an error; one that only says that something was stopped is no news. */
export function report(error: unknown): void {
  const code = error instanceof Sam2Error ? error.code : "INTERNAL";
  if (code === "ABORTED" || code === "DISPOSED") return;
  console.warn(error);
  toast(error instanceof Error ? error.message : String(error));
}
