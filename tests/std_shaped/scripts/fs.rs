// Scripts for `fs`, under the `use` lines of std or ours.

use std::io::{BufRead, BufReader, BufWriter, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use self::fs::{DirBuilder, File, FileTimes, OpenOptions};

fn shown<T: std::fmt::Debug>(result: std::io::Result<T>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(e) => format!("{:?} {:?}", e.kind(), e.raw_os_error()),
    }
}

pub(crate) fn files(folder: &Path) -> Vec<String> {
    let mut log = Vec::new();
    let path = folder.join("file");
    log.push(shown(File::open(&path).map(drop)));
    log.push(shown(fs::exists(&path)));
    let mut file = File::create(&path).unwrap();
    log.push(shown(file.write(b"hello ")));
    log.push(shown(file.write_vectored(&[IoSlice::new(b"wor"), IoSlice::new(b"ld")])));
    log.push(shown(file.flush()));
    log.push(shown(file.read(&mut [0; 4]))); // not for reading
    log.push(shown(file.sync_all().and_then(|()| file.sync_data())));
    log.push(shown(fs::read_to_string(&path)));
    log.push(shown(File::create_new(&path).map(drop)));

    let mut file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let mut clone = file.try_clone().unwrap();
    let mut three = [0; 3];
    log.push(shown(file.read(&mut three)));
    log.push(shown(clone.stream_position()));
    log.push(shown(clone.seek(SeekFrom::End(-2))));
    log.push(shown(file.read(&mut three).map(|n| three[..n].to_vec())));
    log.push(shown(file.read(&mut three)));
    log.push(shown(file.read(&mut [])));
    log.push(shown(file.seek(SeekFrom::Current(-100))));
    file.rewind().unwrap();
    let (mut a, mut b) = ([0; 2], [0; 4]);
    let read = file.read_vectored(&mut [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)]);
    log.push(format!("{} {a:?} {b:?}", shown(read)));
    log.push(shown(file.set_len(4).and_then(|()| file.metadata()).map(|m| m.len())));
    log.push(shown(clone.stream_position()));
    log.push(shown(file.write(b"!")));
    log.push(shown(fs::read(&path)));
    file.rewind().unwrap();
    let mut rest = vec![1];
    log.push(shown(file.read_to_end(&mut rest)));
    log.push(format!("{rest:?}"));
    fs::write(&path, [0xff]).unwrap();
    log.push(shown(fs::read_to_string(&path)));
    let mut text = String::from("kept");
    log.push(shown(File::open(&path).unwrap().read_to_string(&mut text)));
    log.push(text);

    // Options.
    log.push(shown(OpenOptions::new().open(&path).map(drop)));
    log.push(shown(File::options().append(true).open(&path).unwrap().write(b"end")));
    log.push(shown(fs::read(&path)));
    let emptied = OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
    log.push(shown(emptied.metadata().map(|m| m.len())));
    log.push(shown(OpenOptions::new().write(true).create_new(true).open(&path).map(drop)));

    // Times and permissions.
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
    log.push(shown(emptied.set_modified(at).and_then(|()| emptied.metadata()?.modified())));
    log.push(shown(emptied.set_times(FileTimes::new().set_accessed(at))));
    let before = emptied.metadata().unwrap().permissions();
    let mut permissions = emptied.metadata().unwrap().permissions();
    permissions.set_readonly(true);
    log.push(shown(emptied.set_permissions(permissions)));
    log.push(shown(fs::metadata(&path).map(|m| m.permissions().readonly())));
    log.push(shown(fs::set_permissions(&path, before)));

    // Lines through buffers.
    let mut writer = BufWriter::new(File::create(&path).unwrap());
    (0..1000).for_each(|n| writeln!(writer, "line {n}").unwrap());
    drop(writer);
    let lines = BufReader::new(File::open(&path).unwrap()).lines();
    log.push(lines.map(|line| line.unwrap().len()).sum::<usize>().to_string());
    let copied = std::io::copy(&mut File::open(&path).unwrap(), &mut File::create(folder.join("copy")).unwrap());
    log.push(shown(copied));
    log.push(shown(fs::copy(&path, folder.join("copy"))));

    // Directories.
    log.push(shown(fs::create_dir(folder.join("a/b"))));
    log.push(shown(fs::create_dir_all(folder.join("a/b"))));
    log.push(shown(DirBuilder::new().create(folder.join("a"))));
    log.push(shown(DirBuilder::new().recursive(true).create(folder.join("a"))));
    (0..150).for_each(|n| fs::write(folder.join(format!("a/{n}")), "x").unwrap());
    let mut names: Vec<_> = fs::read_dir(folder.join("a"))
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let (kind, length) = (entry.file_type().unwrap(), entry.metadata().unwrap().len());
            assert_eq!(entry.path().file_name(), Some(&*entry.file_name()));
            (entry.file_name(), kind.is_dir(), kind.is_file() && length == 1)
        })
        .collect();
    names.sort();
    log.push(format!("{names:?}"));
    log.push(shown(fs::read_dir(folder.join("nothing")).map(drop)));
    log.push(shown(fs::remove_dir(folder.join("a"))));
    log.push(shown(fs::remove_dir_all(folder.join("a"))));
    log.push(shown(fs::rename(&path, folder.join("new"))));
    log.push(shown(fs::hard_link(folder.join("new"), &path)));
    log.push(shown(fs::canonicalize(folder.join(".").join("new")).map(|p| p == fs::canonicalize(folder).unwrap().join("new"))));
    log.push(shown(fs::symlink_metadata(&path).map(|m| m.is_symlink())));
    log.push(shown(fs::read_link(&path)));
    log.push(shown(fs::remove_file(&path)));
    log.push(shown(fs::remove_file(&path)));
    log
}
