//! Tries a mailbox step by step and changes nothing there (A14).

use super::{
    after::Deed,
    link::{Link, Opened},
    pull::Mailbox,
    trouble::Trouble,
};
use crate::{contract::Check, fault::Fault};

/// Reaches the server, logs in, opens each folder for reading only and reads one mail.
pub(super) async fn check(mailbox: &mut Mailbox) -> Check {
    mailbox.link = None;
    let mut check = Check::default();
    mailbox.pace.ready().await;
    let door = &mailbox.door;
    let wire = match door.reach().await {
        Ok(wire) => wire,
        Err(fault) => return ended(check, "reach", fault),
    };
    check.step("reach", Ok(format!("{}:{} answers", door.host, door.port)));
    let greeted = match door.greet(wire).await {
        Ok(greeted) => greeted,
        Err(fault) => return ended(check, "greet", fault),
    };
    check.step("greet", Ok("an IMAP server greets".to_owned()));
    let mut link = match door.log_in(greeted, mailbox.clock.now()).await {
        Ok(link) => link,
        Err(fault) => return ended(check, "authenticate", fault),
    };
    let news = if link.able().idle { "tells of new mail by itself (IDLE)" } else { "is asked for new mail" };
    check.step("authenticate", Ok(format!("logged in; the server {news}")));
    let mut read = None;
    for name in &mailbox.duty.folders {
        let opened = match link.examine(name).await {
            Ok(opened) => opened,
            Err(trouble) => {
                let usable = trouble.leaves_link_usable();
                let fault = door.folder_fault(&mut link, name, trouble).await;
                check.step("open folder", Err(fault));
                if usable {
                    continue;
                }
                return check;
            }
        };
        check.step("open folder", Ok(describe(name, &opened)));
        if read.is_none() && opened.exists > 0 {
            read = Some(read_one(&mut link, &opened).await.map_err(Trouble::while_reading));
        }
    }
    if check.passed() {
        check.step("read one item", read.unwrap_or_else(|| Ok("there is no mail yet".to_owned())));
        if let Deed::Move(target) = &mailbox.duty.deed {
            check.step("move to", target_folder(&mut link, target).await);
        }
    }
    link.log_out().await;
    check
}

async fn target_folder(link: &mut Link, target: &str) -> Result<String, Fault> {
    match link.examine(target).await {
        Ok(opened) => Ok(format!("{target} holds {} mails", opened.exists)),
        Err(Trouble::No(_)) => Ok(format!("{target} will be made at the first move")),
        Err(trouble) => Err(trouble.while_reading()),
    }
}

fn ended(mut check: Check, name: &'static str, fault: Fault) -> Check {
    check.step(name, Err(fault));
    check
}

fn describe(folder: &str, opened: &Opened) -> String {
    let Opened { exists, uidvalidity, .. } = opened;
    match uidvalidity {
        Some(uidvalidity) => format!("{folder} holds {exists} mails; UIDVALIDITY {uidvalidity}"),
        None => format!(
            "{folder} holds {exists} mails; the server names no UIDVALIDITY, so every connection reads the folder from its \
             beginning"
        ),
    }
}

async fn read_one(link: &mut Link, opened: &Opened) -> Result<String, Trouble> {
    const LENGTH: usize = 1024;
    if opened.exists == 0 {
        return Ok("the folder is empty".to_owned());
    }
    let Some(uid) = link.search("*").await?.pop() else {
        return Ok("the folder is empty".to_owned());
    };
    let mut bodies = Vec::new();
    link.bodies(&uid.to_string(), Some(LENGTH), LENGTH, &mut bodies).await?;
    match bodies.first() {
        Some((uid, body)) => Ok(format!("mail UID {uid} can be read ({} bytes tried)", body.len())),
        None => Ok(format!("mail UID {uid} is there but gives no content; it would go to quarantine")),
    }
}
