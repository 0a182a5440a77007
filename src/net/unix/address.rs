//! Paths of the addresses of Unix sockets.

use std::io;
use std::os::unix::net::SocketAddr;
use std::path::PathBuf;

/// Returns the path that tokio takes for this address.
pub(super) fn path_of(address: &SocketAddr) -> io::Result<PathBuf> {
    if let Some(path) = address.as_pathname() {
        return Ok(path.to_owned());
    }
    abstract_path(address).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "an unnamed socket cannot be connected to",
        )
    })
}

/// Returns an abstract name as tokio takes it: after a zero byte.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn abstract_path(address: &SocketAddr) -> Option<PathBuf> {
    use std::ffi::OsString;
    #[cfg(target_os = "android")]
    use std::os::android::net::SocketAddrExt;
    #[cfg(target_os = "linux")]
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::ffi::OsStringExt;

    let mut bytes = vec![0];
    bytes.extend_from_slice(address.as_abstract_name()?);
    Some(OsString::from_vec(bytes).into())
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn abstract_path(_address: &SocketAddr) -> Option<PathBuf> {
    None
}
