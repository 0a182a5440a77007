//! [`PollSet`] for systems on which a poll set of the operating system cannot itself be
//! polled.

use std::io;
use std::os::fd::RawFd;
use std::task::Context;

use super::events::Events;

/// A poll set, which cannot be created.
#[derive(Debug)]
pub(super) enum PollSet {}

impl PollSet {
    pub(super) fn new() -> io::Result<PollSet> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }

    pub(super) fn add(&self, _: RawFd, _: usize, _: Events) -> io::Result<()> {
        match *self {}
    }

    pub(super) fn modify(&self, _: RawFd, _: usize, _: Events) -> io::Result<()> {
        match *self {}
    }

    pub(super) fn remove(&self, _: RawFd) -> io::Result<()> {
        match *self {}
    }

    pub(super) fn next(&mut self, _: &mut Context<'_>) -> Option<(usize, Events)> {
        match *self {}
    }
}
