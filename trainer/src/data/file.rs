//! Reading a file of bytes, plain or gzip, which its first two bytes tell, whatever its name.

use super::DataError;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// No data set read has more bytes than this in one file.
pub(super) const LIMIT_BYTES: u64 = 1 << 31;

/// A file being read.
pub(super) struct Bytes {
    pub path: PathBuf,
    from: Box<dyn Read>,
    gzip: bool,
}

impl Bytes {
    pub fn open(path: PathBuf) -> Result<Self, DataError> {
        let open = || File::open(&path).map_err(|source| DataError::Read { path: path.clone(), source });
        let mut head = Vec::new();
        open()?.take(2).read_to_end(&mut head).map_err(|source| DataError::Read { path: path.clone(), source })?;
        let file = BufReader::new(open()?);
        let gzip = head == [0x1f, 0x8b];
        let from: Box<dyn Read> = if gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        Ok(Self { path, from, gzip })
    }

    /// The next bytes, `count` or as many as are left. Memory follows the bytes that are there. A
    /// read past the end also makes the decompressor check its trailer.
    pub fn take(&mut self, count: u64) -> Result<Vec<u8>, DataError> {
        let mut buffer = Vec::new();
        let path = || self.path.clone();
        match self.from.by_ref().take(count).read_to_end(&mut buffer) {
            Ok(_) => Ok(buffer),
            Err(e) if self.gzip => Err(DataError::Gzip { path: path(), reason: e.to_string() }),
            Err(source) => Err(DataError::Read { path: path(), source }),
        }
    }
}

/// The first of the names, each also with `.gz`, that is a file of `directory`.
pub(super) fn find(directory: &Path, names: &[String]) -> Result<PathBuf, String> {
    let spellings: Vec<String> = names.iter().flat_map(|name| [name.clone(), format!("{name}.gz")]).collect();
    spellings.iter().map(|name| directory.join(name)).find(|path| path.is_file()).ok_or_else(|| spellings.join(" or "))
}
