import { Sam2 } from "sam2-web";
import { leave } from "./try-all.js";

leave(Sam2.load({ device: "cpu", baseUrl: ".", workerUrl: "sam2-web/dist" }));
