//! [`Command`].

use std::ffi::OsStr;
use std::fmt;
use std::io;
#[cfg(unix)]
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, CommandArgs, CommandEnvs, ExitStatus, Output, Stdio};

use super::Child;
use crate::io::{Call, with_driver};

/// How a program is run, as [`std::process::Command`]. Waiting for the program blocks the fiber.
///
/// # Cancel safety
///
/// If [`output`](Command::output) or [`status`](Command::status) is cancelled, the program runs on,
/// and is reaped when it ends. What it writes to a pipe that nobody reads any more is an error to it.
/// [`kill_on_drop`](Command::kill_on_drop) kills it instead.
///
/// # Panics
///
/// What waits panics where [`.wait()`](crate::Wait::wait) does. In a fiber on a runtime whose I/O is
/// not enabled, the program cannot be run, and tokio panics.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # switchback::run(|| {
/// use switchback::process::Command; // once: use std::process::Command
///
/// let output = Command::new("sh").args(["-c", "echo hello; exit 3"]).output()?;
/// assert_eq!(output.stdout, b"hello\n");
/// assert_eq!(output.status.code(), Some(3));
/// # Ok(())
/// # })?
/// # }
/// ```
pub struct Command {
    inner: tokio::process::Command,
    is_set: IsSet,
}

/// Which streams were set, and so are not those that `output` captures.
#[derive(Debug, Default)]
struct IsSet {
    stdin: bool,
    stdout: bool,
    stderr: bool,
}

impl Command {
    /// Returns a command that runs a program, which is looked for in the `PATH` unless the name has
    /// a separator.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::process::Command;
    ///
    /// assert!(Command::new("sh").args(["-c", "exit 0"]).status()?.success());
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn new<S: AsRef<OsStr>>(program: S) -> Command {
        Command {
            inner: tokio::process::Command::new(program),
            is_set: IsSet::default(),
        }
    }

    /// Adds an argument.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::process::Command;
    ///
    /// let output = Command::new("echo").arg("hello").output()?;
    /// assert_eq!(output.stdout, b"hello\n");
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn arg<S: AsRef<OsStr>>(&mut self, arg: S) -> &mut Command {
        self.inner.arg(arg);
        self
    }

    /// Adds arguments.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::process::Command;
    ///
    /// let output = Command::new("echo").args(["hello", "world"]).output()?;
    /// assert_eq!(output.stdout, b"hello world\n");
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn args<I, S>(&mut self, args: I) -> &mut Command
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.inner.args(args);
        self
    }

    /// Sets a variable of the environment.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::process::Command;
    ///
    /// let mut shell = Command::new("sh");
    /// let output = shell.args(["-c", "echo $NAME"]).env("NAME", "hello").output()?;
    /// assert_eq!(output.stdout, b"hello\n");
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn env<K: AsRef<OsStr>, V: AsRef<OsStr>>(&mut self, key: K, val: V) -> &mut Command {
        self.inner.env(key, val);
        self
    }

    /// Sets variables of the environment.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::process::Command;
    ///
    /// let mut shell = Command::new("sh");
    /// let output = shell.args(["-c", "echo $A$B"]).envs([("A", "1"), ("B", "2")]).output()?;
    /// assert_eq!(output.stdout, b"12\n");
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn envs<I, K, V>(&mut self, vars: I) -> &mut Command
    where
        I: IntoIterator<Item = (K, V)>,
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        self.inner.envs(vars);
        self
    }

    /// Removes a variable of the environment.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::process::Command;
    ///
    /// let mut shell = Command::new("sh");
    /// let output = shell.args(["-c", "echo $HOME"]).env_remove("HOME").output()?;
    /// assert_eq!(output.stdout, b"\n");
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn env_remove<K: AsRef<OsStr>>(&mut self, key: K) -> &mut Command {
        self.inner.env_remove(key);
        self
    }

    /// Removes all variables of the environment.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::process::Command;
    ///
    /// let output = Command::new("env").env_clear().env("PATH", "/usr/bin:/bin").output()?;
    /// assert!(output.stdout.starts_with(b"PATH="));
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn env_clear(&mut self) -> &mut Command {
        self.inner.env_clear();
        self
    }

    /// Sets the directory in which the program runs.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::process::Command;
    ///
    /// let output = Command::new("pwd").current_dir("/").output()?;
    /// assert_eq!(output.stdout, b"/\n");
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn current_dir<P: AsRef<Path>>(&mut self, dir: P) -> &mut Command {
        self.inner.current_dir(dir);
        self
    }

    /// Sets the standard input. Without it, it is inherited, and closed for
    /// [`output`](Command::output).
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::process::{Command, Stdio};
    ///
    /// let status = Command::new("cat").stdin(Stdio::null()).status()?;
    /// assert!(status.success());
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn stdin<T: Into<Stdio>>(&mut self, cfg: T) -> &mut Command {
        self.is_set.stdin = true;
        self.inner.stdin(cfg);
        self
    }

    /// Sets the standard output. Without it, it is inherited, and captured by
    /// [`output`](Command::output).
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::process::{Command, Stdio};
    ///
    /// let status = Command::new("echo").arg("hello").stdout(Stdio::null()).status()?;
    /// assert!(status.success());
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn stdout<T: Into<Stdio>>(&mut self, cfg: T) -> &mut Command {
        self.is_set.stdout = true;
        self.inner.stdout(cfg);
        self
    }

    /// Sets the standard error. Without it, it is inherited, and captured by
    /// [`output`](Command::output).
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::process::{Command, Stdio};
    ///
    /// let status = Command::new("ls").arg("/nowhere").stderr(Stdio::null()).status()?;
    /// assert!(!status.success());
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn stderr<T: Into<Stdio>>(&mut self, cfg: T) -> &mut Command {
        self.is_set.stderr = true;
        self.inner.stderr(cfg);
        self
    }

    /// Sets whether the program is killed when its [`Child`] is dropped. It is not by default, as
    /// with std; std has no such setting.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::process::Command;
    ///
    /// let child = Command::new("sleep").arg("1000").kill_on_drop(true).spawn()?;
    /// drop(child);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn kill_on_drop(&mut self, kill_on_drop: bool) -> &mut Command {
        self.inner.kill_on_drop(kill_on_drop);
        self
    }

    /// Runs the program. Does not wait for it.
    ///
    /// # Errors
    ///
    /// Those of std. On a runtime whose I/O is not enabled, this panics, as tokio does.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::process::Command;
    ///
    /// let mut child = Command::new("true").spawn()?;
    /// assert!(child.wait()?.success());
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn(&mut self) -> io::Result<Child> {
        with_driver(|driver| {
            let _runtime = driver.handle().enter();
            self.inner.spawn().map(Child::new)
        })?
    }

    /// Runs the program, waits for its end, and returns what it has written.
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
    /// let output = Command::new("echo").arg("hello").output()?;
    /// assert_eq!(output.stdout, b"hello\n");
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn output(&mut self) -> io::Result<Output> {
        self.spawn_captured()?
            .output_of(Call::process("`process::Command::output`"))
    }

    /// Runs the program, and waits for its end.
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
    /// assert!(Command::new("true").status()?.success());
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn status(&mut self) -> io::Result<ExitStatus> {
        self.spawn()?
            .status_of(Call::process("`process::Command::status`"))
    }

    /// Returns the name of the program.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::process::Command;
    ///
    /// assert_eq!(Command::new("sh").get_program(), "sh");
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[must_use]
    pub fn get_program(&self) -> &OsStr {
        self.inner.as_std().get_program()
    }

    /// Returns the arguments, without the name of the program.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::process::Command;
    ///
    /// let mut echo = Command::new("echo");
    /// echo.args(["a", "b"]);
    /// assert!(echo.get_args().eq(["a", "b"]));
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn get_args(&self) -> CommandArgs<'_> {
        self.inner.as_std().get_args()
    }

    /// Returns the variables that were set, or with `None` removed.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::process::Command;
    ///
    /// let mut shell = Command::new("sh");
    /// shell.env_remove("HOME");
    /// assert_eq!(shell.get_envs().next(), Some(("HOME".as_ref(), None)));
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn get_envs(&self) -> CommandEnvs<'_> {
        self.inner.as_std().get_envs()
    }

    /// Returns the directory in which the program runs, if it was set.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::process::Command;
    ///
    /// assert_eq!(Command::new("pwd").get_current_dir(), None);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[must_use]
    pub fn get_current_dir(&self) -> Option<&Path> {
        self.inner.as_std().get_current_dir()
    }

    /// Returns std's command, for what it has and this one has not, such as the unsafe `pre_exec`.
    /// What is set there takes effect here.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use std::os::unix::process::CommandExt;
    /// use switchback::process::Command;
    ///
    /// let mut shell = Command::new("sh");
    /// shell.as_std_mut().arg0("other");
    /// let output = shell.args(["-c", "echo $0"]).output()?;
    /// assert_eq!(output.stdout, b"other\n");
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn as_std_mut(&mut self) -> &mut process::Command {
        self.inner.as_std_mut()
    }

    /// Sets the user of the process, as [`CommandExt`] does.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::process::Command;
    ///
    /// # let mut id = Command::new("id");
    /// # let own = String::from_utf8_lossy(&id.arg("-u").output()?.stdout).trim().parse().unwrap();
    /// let output = Command::new("id").arg("-u").uid(own).output()?;
    /// # drop(output);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[cfg(unix)]
    #[cfg_attr(docsrs, doc(cfg(unix)))]
    pub fn uid(&mut self, id: u32) -> &mut Command {
        self.inner.uid(id);
        self
    }

    /// Sets the group of the process, as [`CommandExt`] does.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::process::Command;
    ///
    /// # let mut id = Command::new("id");
    /// # let own = String::from_utf8_lossy(&id.arg("-g").output()?.stdout).trim().parse().unwrap();
    /// let output = Command::new("id").arg("-g").gid(own).output()?;
    /// # drop(output);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[cfg(unix)]
    #[cfg_attr(docsrs, doc(cfg(unix)))]
    pub fn gid(&mut self, id: u32) -> &mut Command {
        self.inner.gid(id);
        self
    }

    /// Sets the name by which the program knows itself, as [`CommandExt`] does.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::process::Command;
    ///
    /// let mut shell = Command::new("sh");
    /// let output = shell.arg0("other").args(["-c", "echo $0"]).output()?;
    /// assert_eq!(output.stdout, b"other\n");
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[cfg(unix)]
    #[cfg_attr(docsrs, doc(cfg(unix)))]
    pub fn arg0<S: AsRef<OsStr>>(&mut self, arg: S) -> &mut Command {
        self.inner.arg0(arg);
        self
    }

    /// Sets the group of processes, as [`CommandExt`] does; 0 is a new one.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::process::Command;
    ///
    /// assert!(Command::new("true").process_group(0).status()?.success());
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[cfg(unix)]
    #[cfg_attr(docsrs, doc(cfg(unix)))]
    pub fn process_group(&mut self, pgroup: i32) -> &mut Command {
        self.inner.process_group(pgroup);
        self
    }

    /// Replaces this process by the program, and returns only if that fails, as [`CommandExt`]
    /// does. No destructors run, and no fiber goes on.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::process::Command;
    ///
    /// let error = Command::new("/nowhere").exec();
    /// assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[cfg(unix)]
    #[cfg_attr(docsrs, doc(cfg(unix)))]
    pub fn exec(&mut self) -> io::Error {
        self.inner.as_std_mut().exec()
    }

    /// Runs the program and captures what was not set.
    #[track_caller]
    fn spawn_captured(&mut self) -> io::Result<Child> {
        self.set_unset(Stdio::null, Stdio::piped);
        let child = self.spawn();
        self.set_unset(Stdio::inherit, Stdio::inherit);
        child
    }

    fn set_unset(&mut self, input: fn() -> Stdio, output: fn() -> Stdio) {
        if !self.is_set.stdin {
            self.inner.stdin(input());
        }
        if !self.is_set.stdout {
            self.inner.stdout(output());
        }
        if !self.is_set.stderr {
            self.inner.stderr(output());
        }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.as_std().fmt(f)
    }
}

/// Takes a command of std's. Streams that were set in it are inherited, or captured by `output`,
/// unless they are set again: std does not tell.
impl From<process::Command> for Command {
    fn from(command: process::Command) -> Command {
        Command {
            inner: command.into(),
            is_set: IsSet::default(),
        }
    }
}
