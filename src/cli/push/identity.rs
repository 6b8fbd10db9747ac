//! Who an upload is, where nobody has said so: the same for the same file in the same state, so that a push that was killed, or a
//! second copy of it, is recognised.

use crate::client::Look;
use crate::upload::{Digest, Key, UploadId};

/// The id of a file's upload: `push-` and the first 32 hexadecimal digits of the SHA-256 of what tells it apart, a line each:
/// host name, device, inode, size, time of the last write in nanoseconds, and the name at the server. A file that is
/// written to, replaced or sent under another name is another upload.
pub(super) fn upload_id(look: &Look, key: &Key) -> UploadId {
    // Not by `changed`: a file whose rights are changed is still the same upload.
    let Look { device, inode, size, modified: (seconds, nanoseconds), changed: _ } = look;
    let uname = rustix::system::uname();
    let host = uname.nodename().to_string_lossy();
    let text = format!("{host}\n{device}\n{inode}\n{size}\n{seconds}.{nanoseconds:09}\n{key}\n");
    format!("push-{}", &Digest::of(text.as_bytes()).to_hex()[..32]).parse().expect("hexadecimal digits can stand in an id")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_of_a_file_in_a_state_under_a_name() {
        let look = Look { device: 1, inode: 2, size: 3, modified: (4, 5), changed: (6, 7) };
        let id = |look: Look, key: &str| upload_id(&look, &key.parse().unwrap());
        assert_eq!(id(look, "a.csv"), id(Look { changed: (7, 7), ..look }, "a.csv"));
        for other in [
            Look { device: 2, ..look },
            Look { inode: 3, ..look },
            Look { size: 4, ..look },
            Look { modified: (4, 6), ..look },
        ] {
            assert_ne!(id(other, "a.csv"), id(look, "a.csv"), "{other:?}");
        }
        assert_ne!(id(look, "b.csv"), id(look, "a.csv"));
    }
}
