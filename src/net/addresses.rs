//! [`ToSocketAddrs`]: what sockets take as an address.

use std::io;
use std::iter::Cloned;
use std::net::{
    IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, ToSocketAddrs as StdAddrs,
};
use std::{option, slice, vec};

use crate::io::{Call, blocking_call};

/// What can be converted, or resolved, to socket addresses: std's
/// [`ToSocketAddrs`](std::net::ToSocketAddrs), for the same types, which does not block the thread.
///
/// Names are looked up by std, on a thread of [`blocking`](crate::blocking); on a plain thread they
/// are looked up in place. A text that is an address is not looked up.
///
/// # Cancel safety
///
/// A lookup goes on if its fiber is cancelled, and its result is dropped.
///
/// # Panics
///
/// A text waits, whether it is an address or not, and panics where
/// [`.wait()`](crate::Wait::wait) does. The other types never wait.
///
/// # Examples
///
/// ```
/// use switchback::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
///
/// # fn main() -> std::io::Result<()> {
/// let address = SocketAddr::from(([127, 0, 0, 1], 443));
/// let mut same = [
///     "127.0.0.1:443".to_socket_addrs()?.next(),
///     ("127.0.0.1", 443).to_socket_addrs()?.next(),
///     (Ipv4Addr::LOCALHOST, 443).to_socket_addrs()?.next(),
/// ];
/// assert_eq!(same, [Some(address); 3]);
/// assert!("127.0.0.1".to_socket_addrs().is_err()); // there is no port
/// # Ok(())
/// # }
/// ```
pub trait ToSocketAddrs {
    /// The addresses, one after the other.
    type Iter: Iterator<Item = SocketAddr>;

    /// Returns the addresses. Waits if a name has to be looked up.
    ///
    /// # Errors
    ///
    /// Those of std: a text that is no address, or a name that is not found.
    fn to_socket_addrs(&self) -> io::Result<Self::Iter>;
}

/// Implements the trait for what is a single address.
macro_rules! one_address {
    ($($type:ty),*) => {$(
        impl ToSocketAddrs for $type {
            type Iter = option::IntoIter<SocketAddr>;

            fn to_socket_addrs(&self) -> io::Result<option::IntoIter<SocketAddr>> {
                StdAddrs::to_socket_addrs(self)
            }
        }
    )*};
}

one_address! {
    SocketAddr, SocketAddrV4, SocketAddrV6, (IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16)
}

impl ToSocketAddrs for str {
    type Iter = vec::IntoIter<SocketAddr>;

    #[track_caller]
    fn to_socket_addrs(&self) -> io::Result<vec::IntoIter<SocketAddr>> {
        let parsed: Option<SocketAddr> = self.parse().ok();
        let name = self.to_owned();
        look_up(parsed, move || StdAddrs::to_socket_addrs(&*name))
    }
}

impl ToSocketAddrs for (&str, u16) {
    type Iter = vec::IntoIter<SocketAddr>;

    #[track_caller]
    fn to_socket_addrs(&self) -> io::Result<vec::IntoIter<SocketAddr>> {
        let (host, port) = *self;
        let parsed = host.parse().ok().map(|ip| SocketAddr::new(ip, port));
        let host = host.to_owned();
        look_up(parsed, move || StdAddrs::to_socket_addrs(&(&*host, port)))
    }
}

impl ToSocketAddrs for (String, u16) {
    type Iter = vec::IntoIter<SocketAddr>;

    #[track_caller]
    fn to_socket_addrs(&self) -> io::Result<vec::IntoIter<SocketAddr>> {
        ToSocketAddrs::to_socket_addrs(&(&*self.0, self.1))
    }
}

impl ToSocketAddrs for String {
    type Iter = vec::IntoIter<SocketAddr>;

    #[track_caller]
    fn to_socket_addrs(&self) -> io::Result<vec::IntoIter<SocketAddr>> {
        ToSocketAddrs::to_socket_addrs(&**self)
    }
}

impl<'a> ToSocketAddrs for &'a [SocketAddr] {
    type Iter = Cloned<slice::Iter<'a, SocketAddr>>;

    fn to_socket_addrs(&self) -> io::Result<Cloned<slice::Iter<'a, SocketAddr>>> {
        Ok(self.iter().cloned())
    }
}

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {
    type Iter = T::Iter;

    #[track_caller]
    fn to_socket_addrs(&self) -> io::Result<T::Iter> {
        T::to_socket_addrs(self)
    }
}

#[track_caller]
fn look_up<F>(parsed: Option<SocketAddr>, f: F) -> io::Result<vec::IntoIter<SocketAddr>>
where
    F: FnOnce() -> io::Result<vec::IntoIter<SocketAddr>> + Send + 'static,
{
    const CALL: Call = Call::net("`net::ToSocketAddrs::to_socket_addrs`");
    blocking_call(CALL, parsed.is_none(), move || match parsed {
        Some(address) => Ok(vec![address].into_iter()),
        None => f(),
    })
}

/// Calls `f` with one address after the other, until it succeeds.
#[track_caller]
pub(super) fn first_of<A, R>(
    addresses: A,
    mut f: impl FnMut(SocketAddr) -> io::Result<R>,
) -> io::Result<R>
where
    A: ToSocketAddrs,
{
    let mut error = None;
    for address in A::to_socket_addrs(&addresses)? {
        match f(address) {
            Ok(result) => return Ok(result),
            Err(e) => error = Some(e),
        }
    }
    Err(error.unwrap_or_else(no_address))
}

pub(super) fn no_address() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "there is no address to use: the list is empty",
    )
}
