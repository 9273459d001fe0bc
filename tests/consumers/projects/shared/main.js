// The quick start.
import { Sam2 } from "sam2-web";
import "sam2-web-nano";
import { leave, tryAll } from "./try-all.js";

leave(Sam2.load({ device: "cpu" }).then(tryAll));
