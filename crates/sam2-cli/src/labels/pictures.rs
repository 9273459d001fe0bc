//! The pictures that labels are of.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use sam2_labels::Size;

use super::{inner_path, without_ending};
use crate::load;
use crate::picture::{KINDS, upright_size};

/// A picture's file.
#[derive(Debug)]
pub struct Found {
    /// Its path in the folder, with slashes.
    pub name: String,
    pub path: PathBuf,
}

/// The pictures of a folder and of its folders, by their names; or a single one.
#[derive(Debug, Default)]
pub struct Pictures {
    all: Vec<Found>,
    by_path: HashMap<PathBuf, usize>,
    /// By the path without the ending. None where two have the same.
    by_stem: HashMap<PathBuf, Option<usize>>,
    /// By the name of the file alone, without the ending.
    by_bare_name: HashMap<PathBuf, Option<usize>>,
    is_single: bool,
}

impl Pictures {
    /// Those of `--images`; none without it.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn given(path: Option<&Path>) -> Result<Self> {
        path.map_or(Ok(Self::default()), Self::open)
    }

    /// # Errors
    /// The folder cannot be read, or has no pictures.
    pub fn open(path: &Path) -> Result<Self> {
        let mut pictures = Self {
            is_single: path.is_file(),
            ..Self::default()
        };
        if pictures.is_single {
            pictures.add(path.to_owned(), path.parent().unwrap_or(Path::new("")));
            return Ok(pictures);
        }
        for file in load::files_below(path)? {
            if image::ImageFormat::from_path(&file).is_ok_and(|format| format.reading_enabled()) {
                pictures.add(file, path);
            }
        }
        ensure!(
            !pictures.all.is_empty(),
            "{} has no pictures: {KINDS}",
            path.display()
        );
        Ok(pictures)
    }

    fn add(&mut self, path: PathBuf, folder: &Path) {
        let index = self.all.len();
        let inner = path.strip_prefix(folder).unwrap_or(&path).to_owned();
        let stem = without_ending(&inner);
        let bare = stem.file_name().map(PathBuf::from).unwrap_or_default();
        for (map, key) in [(&mut self.by_stem, stem), (&mut self.by_bare_name, bare)] {
            map.entry(key)
                .and_modify(|known| *known = None)
                .or_insert(Some(index));
        }
        self.all.push(Found {
            name: load::with_slashes(&inner),
            path,
        });
        self.by_path.insert(inner, index);
    }

    /// The picture of a name: by its path in the folder, or that without the ending, or the name of the file alone.
    pub fn find(&self, name: &str) -> Option<&Found> {
        let inner = inner_path(name);
        let stem = without_ending(&inner);
        let bare = stem.file_name().map(PathBuf::from).unwrap_or_default();
        let by_name = self.by_path.get(&inner).copied();
        let by_stem = || self.by_stem.get(&stem).copied().flatten();
        let by_bare_name = || self.by_bare_name.get(&bare).copied().flatten();
        by_name
            .or_else(by_stem)
            .or_else(by_bare_name)
            .map(|index| &self.all[index])
    }

    /// The picture, where a single one was given.
    pub fn single(&self) -> Option<&Found> {
        self.all.first().filter(|_| self.is_single)
    }
}

impl Found {
    /// The upright picture's size, from the file's header.
    ///
    /// # Errors
    /// The file is not a picture that can be read.
    pub fn size(&self) -> Result<Size> {
        let [width, height] = upright_size(&self.path)?;
        Size::new(width, height).with_context(|| self.path.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_found_by_path_by_stem_and_by_bare_name() {
        let mut pictures = Pictures::default();
        for name in [
            "a.jpg",
            "train/b.png",
            "train/c.jpg",
            "val/c.jpg",
            "val/d.jpg",
            "val/d.png",
        ] {
            pictures.add(Path::new("all").join(name), Path::new("all"));
        }
        let find = |name: &str| pictures.find(name).map(|found| found.name.as_str());
        assert_eq!(find("a.jpg"), Some("a.jpg"));
        assert_eq!(find("a"), Some("a.jpg"));
        assert_eq!(find("..\\images\\a.jpeg"), Some("a.jpg"));
        assert_eq!(find("b"), Some("train/b.png"));
        assert_eq!(find("val/c"), Some("val/c.jpg"));
        assert_eq!(find("c"), None);
        assert_eq!(find("val/d.png"), Some("val/d.png"));
        assert_eq!(find("val/d"), None);
        assert_eq!(find("e"), None);
    }
}
