// Rollup leaves addresses of files as they are: it is told to bundle the workers, and the other files are copied.
import { Sam2 } from "sam2-web";
import "sam2-web-nano";
import { leave, tryAll } from "./try-all.js";

leave(Sam2.load({ device: "cpu", workerUrl: ".", wasmUrl: "wasm" }).then(tryAll));
