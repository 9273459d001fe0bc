"use client";

import { useEffect } from "react";
import { Sam2 } from "sam2-web";
import "sam2-web-nano";
import { leave, tryAll } from "../try-all.js";

export function Segment() {
  useEffect(() => leave(Sam2.load({ device: "cpu" }).then(tryAll)), []);
  return <p>Segmenting</p>;
}
