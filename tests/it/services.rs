//! Where the test servers are, as `scripts/services` tells it.

use std::{
    fs::{self, Permissions},
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

/// A variable that `scripts/services` sets.
pub(crate) fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run scripts/test, or scripts/services cargo test …"))
}

/// The port of a `host:port` variable; the host is always this machine.
pub(crate) fn port(name: &str) -> u16 {
    variable(name).rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap()
}

/// A mailbox of its own for one test.
pub(crate) struct Mailbox {
    /// The user, which is also the left side of the address.
    pub(crate) user: String,
    maildir: PathBuf,
    count: AtomicU32,
}

impl Mailbox {
    /// An empty mailbox. The server's user, who is another one where the tests run as root, may write into it.
    pub(crate) fn new(name: &str) -> Self {
        let user = format!("{name}-{}", std::process::id());
        let home = Path::new(&variable("JIESU_TEST_MAILDIR")).join(&user);
        let maildir = home.join("Maildir");
        for directory in [&home, &maildir, &maildir.join("tmp"), &maildir.join("new"), &maildir.join("cur")] {
            fs::create_dir(directory).unwrap();
            fs::set_permissions(directory, Permissions::from_mode(0o777)).unwrap();
        }
        Self { user, maildir, count: AtomicU32::new(0) }
    }

    /// Delivers a mail and returns where it lies until the server has seen it.
    pub(crate) fn deliver(&self, mail: &[u8]) -> PathBuf {
        self.deliver_with(mail, 0o644)
    }

    /// Delivers a mail that the server may not read.
    pub(crate) fn deliver_unreadable(&self, mail: &[u8]) -> PathBuf {
        self.deliver_with(mail, 0o000)
    }

    fn deliver_with(&self, mail: &[u8], mode: u32) -> PathBuf {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        // The order of names is the order of UIDs.
        let name = format!("{}.{count}.test", 1_700_000_000 + count);
        let draft = self.maildir.join("tmp").join(&name);
        fs::write(&draft, mail).unwrap();
        fs::set_permissions(&draft, Permissions::from_mode(mode)).unwrap();
        let delivered = self.maildir.join("new").join(&name);
        fs::rename(&draft, &delivered).unwrap();
        delivered
    }

    /// Makes a folder that holds these mails; one of that name goes first, so that its UIDVALIDITY is another afterwards.
    pub(crate) fn fill_folder(&self, folder: &str, mails: &[Vec<u8>]) {
        let mut stream = TcpStream::connect(("127.0.0.1", port("JIESU_TEST_IMAP"))).unwrap();
        let mut answers = BufReader::new(stream.try_clone().unwrap()).lines();
        let login = format!("LOGIN {} {}", self.user, variable("JIESU_TEST_IMAP_PASSWORD"));
        let mut commands =
            vec![login.into_bytes(), format!("DELETE {folder}").into(), format!("CREATE {folder}").into()];
        let append = |mail: &Vec<u8>| [format!("APPEND {folder} {{{}+}}\r\n", mail.len()).as_bytes(), mail].concat();
        commands.extend(mails.iter().map(append));
        for command in commands {
            stream.write_all(&[b"x ", &command[..], b"\r\n"].concat()).unwrap();
            let answer = answers.find(|line| line.as_ref().unwrap().starts_with("x ")).unwrap().unwrap();
            assert!(answer.starts_with("x OK") || command.starts_with(b"DELETE"), "{answer}");
        }
    }

    /// Makes the server number all mails anew, under another UIDVALIDITY. Nobody may be connected meanwhile.
    pub(crate) fn forget_uids(&self) {
        for entry in fs::read_dir(&self.maildir).unwrap().map(Result::unwrap) {
            if entry.file_name().to_string_lossy().starts_with("dovecot") {
                fs::remove_file(entry.path()).unwrap();
            }
        }
    }

    /// What was delivered by others, in its order.
    pub(crate) fn delivered_in_order(&self) -> Vec<String> {
        let read = |entry: std::io::Result<fs::DirEntry>| {
            let entry = entry.unwrap();
            (entry.file_name(), fs::read_to_string(entry.path()).unwrap())
        };
        let mut mails: Vec<_> = fs::read_dir(self.maildir.join("new")).unwrap().map(read).collect();
        mails.sort();
        mails.into_iter().map(|(_, mail)| mail).collect()
    }

    /// What was delivered by others, in no order.
    pub(crate) fn delivered(&self) -> Vec<String> {
        let read = |entry: std::io::Result<fs::DirEntry>| fs::read_to_string(entry.unwrap().path()).unwrap();
        fs::read_dir(self.maildir.join("new")).unwrap().map(read).collect()
    }
}
