// Rollup leaves addresses of files as they are, so the files are copied and the workers' folder is told.
import { Sam2 } from "sam2-web";
import "sam2-web-nano";
import { leave, tryAll } from "./try-all.js";

leave(Sam2.load({ device: "cpu", workerUrl: "sam2-web/dist" }).then(tryAll));
