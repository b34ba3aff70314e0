//! `report`: finds an image, wherever it is, reads what was never read of it, and counts.

pub(crate) mod find;
pub(crate) mod known;
mod layers;

use jettison_image::Platform;
use jettison_report::{Accounts, BuildRecord, Report, Subject};
use jettison_store::Store;

pub(crate) use self::find::find;

use crate::Error;
use crate::stored::Stored;
use crate::transfer::Transfer;

/// Makes the report of `image`: an image of the store, an OCI layout or an archive, or a name in a registry.
///
/// What is read for it stays in the store, so that the next report of the image reads indexes alone.
pub fn report(
    store: &Store,
    image: &str,
    platform: &Platform,
    transfer: Transfer<'_>,
) -> Result<Report, Error> {
    of_stored(&Stored::open(store, find(store, image, platform, transfer)?)?, image)
}

/// Makes the report of an image of the store, called `image`.
pub(crate) fn of_stored(stored: &Stored<'_>, image: &str) -> Result<Report, Error> {
    let build: Option<BuildRecord> =
        stored.record.build.clone().and_then(|record| serde_json::from_value(record).ok());
    let base = known::base(stored, build.as_ref())?;
    let layers = layers::layers(stored, base.as_ref().map_or(0, |(layers, _)| *layers))?;
    let accounts = Accounts::new(&layers);
    let inventory = known::packages(stored, &accounts.tree)?;
    let subject = Subject {
        name: image,
        id: stored.record.config,
        config: &stored.config,
        layers: &layers,
        base_known_from: base.map(|(_, known_from)| known_from),
        inventory: &inventory,
        build,
    };
    Ok(jettison_report::report(&subject, &accounts))
}
