//! For browsers, compiles the kernel a second time, to a separate module with relaxed SIMD.

use std::{env, path::PathBuf, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=src/kernel.rs");
    println!("cargo::rerun-if-changed=src/relaxed.rs");
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() != Ok("wasm32") {
        return;
    }
    let variable = |name| env::var(name).expect("cargo sets it");
    let out = PathBuf::from(variable("OUT_DIR")).join("relaxed.wasm");
    let status = Command::new(variable("RUSTC"))
        .args(["--edition=2024", "--crate-type=cdylib", "--target"])
        .arg(variable("TARGET"))
        .args(["-Copt-level=3", "-Cpanic=abort", "-Cstrip=symbols"])
        // In the order in which they are written, the loads and products of an iteration need fifteen registers. In
        // LLVM's own order they need twenty, and Chromium 156 takes 1.5 times as long.
        .arg("-Cllvm-args=-pre-RA-sched=source")
        .args([
            "-Ctarget-feature=+simd128,+relaxed-simd",
            "-Clink-arg=--import-memory",
        ])
        // The memory belongs to the other module, so this one has no stack. If a stack of size 0 were ever used, the
        // access would be at the end of the address space, and fail immediately.
        .arg("-Clink-arg=-zstack-size=0")
        .args(["-o".as_ref(), out.as_os_str()])
        .arg("src/relaxed.rs")
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "the compiler did not make the module with relaxed SIMD"
    );
}
