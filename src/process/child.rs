//! [`Child`].

use std::io;
use std::process::{ExitStatus, Output};

use futures::future::try_join;
use tokio::io::AsyncReadExt;

use super::{ChildStderr, ChildStdin, ChildStdout};
use crate::base::helper;
use crate::io::{Call, complete, in_runtime};

/// A program that was run, as [`std::process::Child`]. Waiting for it blocks the fiber.
///
/// Dropping it leaves the program running. Tokio reaps it when it ends.
///
/// The pipes are waited for by the runtime in which the program was run, and give errors when that
/// has ended.
///
/// # Cancel safety
///
/// A cancelled wait leaves the program running, and can be repeated.
///
/// # Panics
///
/// What waits panics where [`.wait()`](crate::Wait::wait) does.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # switchback::run(|| {
/// use std::io::{Read, Write};
/// use switchback::process::{Command, Stdio};
///
/// let mut cat = Command::new("cat");
/// let mut child = cat.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
/// let mut input = child.stdin.take().expect("it is a pipe");
/// switchback::spawn(move || input.write_all(b"hello"));
///
/// let mut answer = String::new();
/// child.stdout.take().expect("it is a pipe").read_to_string(&mut answer)?;
/// assert_eq!(answer, "hello");
/// assert!(child.wait()?.success());
/// # Ok(())
/// # })?
/// # }
/// ```
#[derive(Debug)]
pub struct Child {
    /// The input of the program, if it is a pipe. Take it out to write to it, and drop it to end it.
    pub stdin: Option<ChildStdin>,
    /// The output of the program, if it is a pipe.
    pub stdout: Option<ChildStdout>,
    /// The error output of the program, if it is a pipe.
    pub stderr: Option<ChildStderr>,
    id: u32,
    /// Set when the program was seen to have ended.
    status: Option<ExitStatus>,
    inner: tokio::process::Child,
}

impl Child {
    pub(super) fn new(mut inner: tokio::process::Child) -> Child {
        Child {
            stdin: inner.stdin.take().map(ChildStdin::new),
            stdout: inner.stdout.take().map(ChildStdout::new),
            stderr: inner.stderr.take().map(ChildStderr::new),
            id: inner.id().unwrap_or_default(),
            status: None,
            inner,
        }
    }

    /// Returns the number of the process, also after it has ended.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::process::Command;
    ///
    /// let mut child = Command::new("sh").args(["-c", "exit 3"]).spawn()?;
    /// assert_ne!(child.id(), 0);
    /// # child.wait()?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Kills the program. Does not wait for its end. If it was seen to have ended, this does
    /// nothing.
    ///
    /// # Errors
    ///
    /// Those of std.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::process::Command;
    ///
    /// let mut child = Command::new("sleep").arg("1000").spawn()?;
    /// child.kill()?;
    /// assert!(!child.wait()?.success());
    /// child.kill()?; // it has ended
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn kill(&mut self) -> io::Result<()> {
        match self.status {
            Some(_) => Ok(()),
            None => self.inner.start_kill(),
        }
    }

    /// Closes the input of the program, if it is a pipe, and waits for the program to end. Later
    /// calls return the same status.
    ///
    /// # Errors
    ///
    /// Those of std.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::process::Command;
    ///
    /// let mut child = Command::new("sh").args(["-c", "exit 3"]).spawn()?;
    /// assert_eq!(child.wait()?.code(), Some(3));
    /// assert_eq!(child.wait()?.code(), Some(3));
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.status_of(Call::process("`process::Child::wait`"))
    }

    /// Returns the status if the program has ended. Never waits.
    ///
    /// # Errors
    ///
    /// Those of std.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::process::Command;
    ///
    /// let mut child = Command::new("sh").args(["-c", "exit 3"]).spawn()?;
    /// while child.try_wait()?.is_none() {
    ///     switchback::sleep(std::time::Duration::from_millis(1)).wait();
    /// }
    /// assert_eq!(child.wait()?.code(), Some(3));
    /// # use switchback::prelude::*;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.inner.try_wait()?;
        }
        Ok(self.status)
    }

    /// Closes the input of the program, waits for its end, and returns what it has written to its
    /// pipes.
    ///
    /// # Errors
    ///
    /// Those of std.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::process::{Command, Stdio};
    ///
    /// let child = Command::new("echo").arg("hello").stdout(Stdio::piped()).spawn()?;
    /// assert_eq!(child.wait_with_output()?.stdout, b"hello\n");
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn wait_with_output(self) -> io::Result<Output> {
        self.output_of(Call::process("`process::Child::wait_with_output`"))
    }

    #[track_caller]
    pub(super) fn status_of(&mut self, call: Call) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        complete(call, None, self.ended())
    }

    #[track_caller]
    pub(super) fn output_of(mut self, call: Call) -> io::Result<Output> {
        drop(self.stdin.take());
        let stdout = self.stdout.take().map(ChildStdout::into_inner);
        let stderr = self.stderr.take().map(ChildStderr::into_inner);
        let output = async {
            let ends = in_runtime(async { try_join(read(stdout), read(stderr)).await });
            let (stdout, stderr) = ends.await??;
            Ok((stdout, stderr, self.ended().await?))
        };
        let (stdout, stderr, status) = complete(call, None, output)?;
        Ok(Output {
            status,
            stdout,
            stderr,
        })
    }

    /// Waits for the end of the program.
    async fn ended(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        let status = match in_runtime(self.inner.wait()).await? {
            Ok(status) => status,
            // The runtime that is told of the end may have ended itself.
            Err(_) => self.ended_by_trying().await?,
        };
        self.status = Some(status);
        Ok(status)
    }

    async fn ended_by_trying(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.inner.try_wait()? {
                return Ok(status);
            }
            helper::try_sleep(std::time::Duration::from_millis(10))?.await;
        }
    }
}

/// Reads a pipe to its end.
async fn read(pipe: Option<impl AsyncReadExt + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        pipe.read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}
