//! Label files of a folder of pictures, for `sam2 import` and `sam2 export`.

mod classes;
mod format;
mod pictures;
mod read;

use std::path::{Component, Path, PathBuf};

use sam2_labels::Affine;

pub use classes::{read as read_classes, to_yaml as classes_to_yaml};
pub use format::Format;
pub use pictures::Pictures;
pub use read::{DataSet, Source};

/// The largest number of warnings of one file that are printed.
const MOST_WARNINGS: usize = 10;

/// Prints what of a file was passed over.
fn warn(path: &Path, warnings: &[String]) {
    for warning in warnings.iter().take(MOST_WARNINGS) {
        crate::output::note!("sam2: warning: {}: {warning}", path.display());
    }
    if let Some(more) = warnings.len().checked_sub(MOST_WARNINGS).filter(|more| *more > 0) {
        crate::output::note!("sam2: warning: {}: and {more} more like these", path.display());
    }
}

/// Parses the argument of `--transform`.
pub fn parse_transform(text: &str) -> Result<Affine, String> {
    let numbers: Option<Vec<f64>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
    numbers
        .and_then(|numbers| numbers.try_into().ok())
        .ok_or_else(|| {
            format!("expected six numbers A,B,C,D,E,F such as 0.5,0,481000,0,-0.5,5450000, got `{text}`")
        })
}

/// A picture's name in a label file as a path that stays in its folder. Labels made on Windows have other slashes; of a
/// path that leads out of the folder only the file's name counts.
fn inner_path(name: &str) -> PathBuf {
    let slashes = name.replace('\\', "/");
    let path = Path::new(&slashes);
    let is_drive = |part: &std::ffi::OsStr| part.to_string_lossy().ends_with(':');
    let is_inside = path.components().all(|component| match component {
        Component::Normal(part) => !is_drive(part),
        Component::CurDir => true,
        _ => false,
    });
    match is_inside {
        true => path
            .components()
            .filter(|part| *part != Component::CurDir)
            .collect(),
        false => path.file_name().map(PathBuf::from).unwrap_or_default(),
    }
}

/// A picture's path without the ending of a picture.
fn without_ending(path: &Path) -> PathBuf {
    match image::ImageFormat::from_path(path) {
        Ok(_) => path.with_extension(""),
        Err(_) => path.to_owned(),
    }
}

/// A picture's name without the ending of a picture, for the file of its labels.
pub fn stem_of(file_name: &str) -> PathBuf {
    without_ending(&inner_path(file_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_folder() {
        for (name, stem) in [
            ("a.jpg", "a"),
            ("train/a.b.JPG", "train/a.b"),
            ("frame.0001", "frame.0001"),
            ("..\\images\\a.png", "a"),
            ("C:\\photos\\a.png", "a"),
            ("/etc/../a.png", "a"),
            ("./a/./b.tif", "a/b"),
            ("..", ""),
        ] {
            assert_eq!(stem_of(name), Path::new(stem), "{name}");
        }
    }

    #[test]
    fn a_transform_is_six_numbers() {
        assert_eq!(
            parse_transform("0.5, 0,481000,0,-0.5,5e6"),
            Ok([0.5, 0.0, 481_000.0, 0.0, -0.5, 5e6])
        );
        for wrong in ["", "1,2,3,4,5", "1,2,3,4,5,6,7", "a,0,0,0,1,0"] {
            assert!(parse_transform(wrong).is_err(), "{wrong}");
        }
    }
}
