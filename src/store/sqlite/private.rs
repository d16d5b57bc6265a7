//! Files and folders that are the owner's alone, whatever the umask of whoever starts the program.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;
/// Of a mode: what group and others may do.
const OTHERS: u32 = 0o077;

/// Opens the file to write it, and makes it where it is missing. One that is there keeps its mode.
pub(super) fn open_or_create(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).mode(FILE_MODE);
    match options.clone().create_new(true).open(path) {
        Ok(file) => {
            // A umask may also have taken from the owner.
            file.set_permissions(Permissions::from_mode(FILE_MODE))?;
            Ok(file)
        }
        // There, or a link to where it shall be.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => options.create(true).truncate(false).open(path),
        Err(e) => Err(e),
    }
}

/// Makes an empty file where there is none.
pub(super) fn create(path: &Path) -> io::Result<()> {
    // What is there is not even opened: it may be write-protected, and that is for SQLite to find.
    if path.exists() { Ok(()) } else { open_or_create(path).map(drop) }
}

/// Makes `folder` and the folders above it, such that they outlive a loss of power as the file in them does. Those that are
/// there keep their mode.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_folder(parent)?;
    match fs::DirBuilder::new().mode(FOLDER_MODE).create(folder) {
        Ok(()) => fs::set_permissions(folder, Permissions::from_mode(FOLDER_MODE))?,
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(e),
    }
    File::open(parent)?.sync_all()
}

/// The mode of what is there, if it gives others than the owner anything.
pub(super) fn wider_mode(path: &Path) -> Option<u32> {
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o7777;
    (mode & OTHERS != 0).then_some(mode)
}
