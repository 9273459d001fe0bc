import { Sam2 } from "sam2-web";
import { leave, tryAll } from "./try-all.js";

const codeOf = (work) =>
  work.then(
    () => "loaded",
    ({ code, message }) => `${code}: ${message}`,
  );
const withoutNano = await codeOf(Sam2.load());
await import("sam2-web-nano");
const inWorker = await codeOf(Sam2.load({ worker: true }));
leave(Sam2.load().then(tryAll));
console.log(JSON.stringify({ withoutNano, inWorker, outcome: await globalThis.outcome }));
