//! `sam2`: Segment Anything 2 from the command line, on the CPU.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod convert;
mod detector;
mod embed_labels;
mod eval;
mod everything;
mod export;
mod find;
mod import;
mod info;
mod labels;
mod load;
mod logits_file;
mod mask_file;
mod output;
mod picture;
mod predict;
mod tiff_samples;
mod track;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::output::note;

/// Segment Anything 2 from the command line, on the CPU.
#[derive(Parser)]
#[command(name = "sam2", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Predict masks for points, a box or an earlier mask on a picture
    Predict(predict::Args),
    /// Find the masks of everything in a picture
    Everything(everything::Args),
    /// Find the masks of what words name, or of everything like an example
    Find(find::Args),
    /// Write the embeddings of labels for `find --labels`, or for a page without a text tower
    EmbedLabels(embed_labels::Args),
    /// Write labels (what `everything` or `import` has found) as COCO, YOLO, labelme, indexed PNG or GeoJSON
    Export(export::Args),
    /// Read labels of any of these formats as one COCO data set, or go on from them with a model
    Import(import::Args),
    /// Track objects through a folder of frames
    Track(track::Args),
    /// Write a checkpoint as packed safetensors with its configuration
    Convert(convert::Args),
    /// Measure a model's IoU on pictures or clips with instance masks
    Eval(eval::Args),
    /// Print what a weights file contains
    Info(info::Args),
}

/// The error of `sam2` without a command, for which the help is printed.
const NO_COMMAND: ErrorKind = ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;

/// The exit code for bad input in arguments or files.
const BAD_INPUT: u8 = 2;

fn main() -> ExitCode {
    sam2_heap::keep_freed_memory();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if !error.use_stderr() || error.kind() == NO_COMMAND => error.exit(), // help and version
        Err(error) => return bad_input(error.to_string().trim_start_matches("error: ")),
    };
    let result = match cli.command {
        Command::Predict(args) => predict::run(&args),
        Command::Everything(args) => everything::run(&args),
        Command::Find(args) => find::run(&args),
        Command::EmbedLabels(args) => embed_labels::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Track(args) => track::run(&args),
        Command::Convert(args) => convert::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Info(args) => info::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => bad_input(&format!("{error:#}")),
    }
}

/// Prints an error on one line, even if its causes have several.
fn bad_input(message: &str) -> ExitCode {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    note!("sam2: {line}");
    ExitCode::from(BAD_INPUT)
}
