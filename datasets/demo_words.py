"""The words and genres that invented films are made of: data only."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Genre:
    """How often a genre is a film's first one, which genres accompany it, and what its titles and plots are made of."""

    name: str
    weight: float
    companions: dict[str, float]
    adjectives: tuple[str, ...]
    nouns: tuple[str, ...]
    heroes: tuple[str, ...]
    deeds: tuple[str, ...]


def words(text: str) -> tuple[str, ...]:
    """The phrases of a comma-separated line."""
    return tuple(phrase.strip() for phrase in text.split(","))


GENRES: Final = (
    Genre(
        "Action", 10, {"Thriller": 5, "Adventure": 4, "Crime": 3, "Science Fiction": 3, "Comedy": 1},
        words("Scorched, Ironclad, Full-Throttle, Molten, Unbroken, Red-Hot, Armoured, Reckless, Seventh"),
        words("Convoy, Breakwater, Payload, Overpass, Salvo, Crossfire, Detonator, Getaway, Blockade, Courier, Tripwire, Freight"),
        words("a grounded pilot, a retired bodyguard, a bomb technician, a smuggler with a conscience, two feuding stunt drivers"),
        words("cross a locked-down city in one night, bring down a former employer, steal back the wrong train"),
    ),
    Genre(
        "Adventure", 7, {"Action": 4, "Fantasy": 3, "Family": 3, "Comedy": 1},
        words("Farthest, Uncharted, Windward, Gilded, Sunken, Thousandth, Wandering, Northernmost"),
        words("Atlas, Caravan, Archipelago, Compass, Cartographers, Expedition, Lagoon, Summit, Monsoon, Galleon, Waystone"),
        words("a disgraced mapmaker, three stranded sailors, a mountain guide, an orphaned river pilot"),
        words("follow a map that redraws itself, race a rival across a frozen strait, search for a ship that sailed off the record"),
    ),
    Genre(
        "Animation", 4, {"Family": 7, "Comedy": 4, "Adventure": 4, "Fantasy": 3},
        words("Clockwork, Paper, Marmalade, Upside-Down, Button-Eyed, Pocket-Sized, Whistling, Patchwork"),
        words("Hedgehog, Lighthouse, Kite, Umbrella, Teapot, Penguins, Balloonist, Snowglobe, Tortoise, Acrobats, Sparrow"),
        words("a hedgehog afraid of the dark, a kite that lost its string, a teapot with a terrible secret, the smallest penguin"),
        words("return a borrowed star, keep a garden awake through winter, join a travelling circus of toys"),
    ),
    Genre(
        "Comedy", 15, {"Romance": 5, "Drama": 3, "Family": 2, "Crime": 1, "Music": 1},
        words("Slightly Married, Overdressed, Perfectly Reasonable, Half-Baked, Accidental, Unlicensed, Overqualified, Mildly Haunted"),
        words("Landlords, Caterers, In-Laws, Weathermen, Houseguests, Notary, Marching Band, Dog Walkers, Substitutes, Dentists, Lodgers"),
        words("a struggling caterer, two rival dentists, a substitute teacher, an unlucky wedding singer, a family of locksmiths"),
        words("pretend to be royalty for a weekend, run a hotel nobody can leave, plan a wedding for a sworn enemy"),
    ),
    Genre(
        "Crime", 7, {"Thriller": 6, "Drama": 5, "Mystery": 3, "Action": 2},
        words("Crooked, Unmarked, Nickel-Plated, Two-Bit, Backroom, Cold-Handed, Forged"),
        words("Ledger, Alibi, Bookmakers, Pawnshop, Verdict, Safecracker, Heirloom, Informant, Boardwalk, Syndicate, Fence"),
        words("an honest bookkeeper, a forger on parole, a detective a week from retirement, a pawnbroker's daughter"),
        words("explain a murder hidden in the accounts, open one last vault, choose between a partner and the truth"),
    ),
    Genre(
        "Documentary", 3, {"Music": 2, "War": 1, "Drama": 1},
        words("Vanishing, Hand-Drawn, Unheard, Ordinary, Forgotten, Tidal, Ten Thousand"),
        words("Glassmakers, Beekeepers, Salt Roads, Harvest, Ice Cores, Letterpress, Ferrymen, Orchards, Signals, Looms, Migrations"),
        words("a village of glassmakers, the last ferrymen of a drowned valley, a choir of retired miners, one stubborn botanist"),
        words("keep a craft from ending, spend a year away from the news, open an archive closed for fifty years"),
    ),
    Genre(
        "Drama", 18, {"Romance": 5, "Crime": 2, "War": 2, "Family": 1, "Music": 1, "Mystery": 1},
        words("Quiet, Borrowed, Unsent, Salt-Stained, Last Ordinary, Threadbare, Patient, Winterlong, Unfinished"),
        words("Orchard, Inheritance, Cellist, Tenants, Ferry, Harbour, Letters, Seamstress, Beekeeper, Kitchen, Apprentice, Daughters"),
        words("a widowed cellist, two estranged brothers, a night nurse, a schoolteacher far from home, a retired judge"),
        words("sell the family orchard, answer letters that were never posted, live with an apology that came too late"),
    ),
    Genre(
        "Family", 5, {"Comedy": 5, "Animation": 4, "Adventure": 4, "Fantasy": 3},
        words("Muddy, Runaway, Lemonade, Biggest, Secret, Moonlit, Barefoot"),
        words("Treehouse, Ponies, Bakery, Summer Camp, Scarecrow, Paper Route, Goose, Grandparents, Raft, Puppy, Tinkerers"),
        words("three cousins, a boy and an uncommonly large goose, a grandmother with a racing past, twins who share one bicycle"),
        words("save the town bakery, build a raft to find a lost dog, turn a rainy holiday into an expedition"),
    ),
    Genre(
        "Fantasy", 6, {"Adventure": 6, "Family": 2, "Romance": 2, "Action": 2, "Horror": 1},
        words("Emberlit, Thrice-Crowned, Hollow, Silverbough, Oathless, Mirrored, Star-Forged"),
        words("Thornkeep, Wyrm, Lanternkeepers, Spellwright, Regent, Moonwell, Changeling, Embergate, Runecarver, Stag, Oathsword"),
        words("a reluctant spellwright, an exiled queen, a thief who can hear stones, the last keeper of a lantern road"),
        words("bargain with a sleeping dragon, unmake a crown, walk into a forest that remembers every name"),
    ),
    Genre(
        "Horror", 6, {"Thriller": 6, "Mystery": 4, "Science Fiction": 2, "Fantasy": 1},
        words("Unburied, Whispering, Moth-Eaten, Breathless, Thirteenth, Lightless, Hungering"),
        words("Cellar, Attic, Wallpaper, Hollow, Nursery, Séance, Marionettes, Crawlspace, Vigil, Sanatorium, Undertow"),
        words("a caretaker who never sleeps, a family new to the coast, a sound engineer, the sole survivor of a séance"),
        words("listen to a child behind the wallpaper, dig where the dog refuses to walk, spend one more night by the black lake"),
    ),
    Genre(
        "Music", 3, {"Drama": 4, "Romance": 4, "Comedy": 3, "Documentary": 1},
        words("Off-Key, Midnight, Slow-Burning, Brass, Second-Hand, Unplugged"),
        words("Trombone, Ballroom, Encore, Jukebox, Serenade, Busker, Quartet, Refrain, Turntable, Soloist, Lullaby"),
        words("a busker with a borrowed trombone, a girl group thirty years on, a conductor losing her hearing"),
        words("win one more night on a real stage, rewrite a hit to win back a town, cross the country for a lost recording"),
    ),
    Genre(
        "Mystery", 5, {"Thriller": 5, "Crime": 4, "Drama": 3, "Horror": 2},
        words("Unlit, Misplaced, Velvet, Eleventh-Hour, Backwards, Tidewater, Numbered"),
        words("Observatory, Cipher, Guestbook, Clockmaker, Lodger, Conservatory, Telegram, Staircase, Locket, Footnote, Postmark"),
        words("a retired codebreaker, a hotel night clerk, a small-town librarian, an insurance investigator"),
        words("answer a telegram from the future, find a guest who never checked in, solve the wrong murder first"),
    ),
    Genre(
        "Romance", 7, {"Comedy": 6, "Drama": 6, "Music": 1, "Fantasy": 1},
        words("Almost, Apricot, Long-Distance, Sunday, Second, Rain-Soaked, Tender, Hopelessly Punctual"),
        words("Valentine, Bouquet, Honeymooners, Postcards, Waltz, Matchmaker, Promenade, Proposal, Balcony, Perfumers, Sweethearts"),
        words("a florist and a demolition expert, two pen friends, a train conductor, a divorced couple of perfumers"),
        words("stop missing the same train every spring, fall in love by correspondence, spend one honest week together"),
    ),
    Genre(
        "Science Fiction", 7, {"Action": 5, "Adventure": 3, "Thriller": 4, "Horror": 1, "Drama": 1},
        words("Perihelion, Zero-Gravity, Synthetic, Outermost, Recursive, Ninth, Subsonic, Orbital"),
        words("Protocol, Airlock, Terraformers, Cosmonaut, Signal, Colony, Replicants, Singularity, Beacon, Hyperdrive, Cryosleepers"),
        words("a maintenance android, the crew of a seed ship, a signal analyst, a colonist born between stars"),
        words("answer a message that was sent too early, wake a ship two hundred years from port, shut down the only home there is"),
    ),
    Genre(
        "Thriller", 10, {"Crime": 5, "Action": 4, "Mystery": 4, "Drama": 3, "Horror": 1},
        words("Untraceable, Glass, Silent, Double-Locked, Burning, Falsified, Hairline"),
        words("Passenger, Witness, Deadline, Hostage, Ransom, Blackout, Embassy, Interpreter, Safehouse, Undertaking, Dossier"),
        words("a court interpreter, an air-traffic controller, a witness without a memory, a bank teller"),
        words("hide a sentence that was never meant to be translated, find a way out before the tide turns, outrun a forged past"),
    ),
    Genre(
        "War", 3, {"Drama": 7, "Action": 4, "Romance": 2},
        words("Frozen, Forsaken, Ashen, Outnumbered, Unnamed, Long"),
        words("Garrison, Ridge, Armistice, Trenches, Signalman, Regiment, Furlough, Battalion, Bridgehead, Stretcher-Bearers"),
        words("a field surgeon, a signalman of nineteen, two soldiers from opposite trenches, a village between the lines"),
        words("hold a bridge nobody wants any more, carry one letter through a winter, keep a truce secret for a day"),
    ),
    Genre(
        "Western", 2, {"Action": 4, "Drama": 3, "Adventure": 3, "Romance": 1},
        words("Dust-Blown, One-Horse, Rusted, Crow-Haunted, Waterless"),
        words("Saddlemaker, Posse, Stagecoach, Homesteaders, Gulch, Telegraph, Mustang, Drifters, Saloon, Branding Iron"),
        words("a saddlemaker with steady hands, the only judge for two hundred miles, a pair of drifters"),
        words("ride after a stolen well, defend an ungrateful town, play one honest hand of cards"),
    ),
)  # fmt: skip

# Places and people nobody has been to or met, so that a title of theirs is nobody's film.
PLACES: Final = words(
    "Veldmoor, Corrinsea, Ashgarrow, Tamblewick, Oskelund, Marrowgate, Pellandry, Quillhaven, Brindlemere, Sorrel Bay, "
    "Haldenfell, Lower Wexcombe, Dunmarrow, Estavare, Kestrelford, Ninepines, Port Alderane, Saltmarrow, Thistledown Cross, "
    "Ulvenholm, Vantry, Wrenfield Junction, Yarrowdale, Zephyr Falls, Castelmoro, Old Brackwater, Mirepoint, Copperhollow"
)
FIRST_NAMES: Final = words(
    "Adela, Bastian, Corvin, Delphine, Elowen, Fennick, Greta, Hollis, Imara, Jonquil, Kaspar, Leocadia, Marlo, Nadezhka, Orsolo, "
    "Petra, Quentin, Rosalba, Soren, Tamsin, Ulla, Vesper, Wilhelma, Xanthe, Yorick, Zelda, Anselm, Briony, Cosmo, Dagny"
)
SURNAMES: Final = words(
    "Abernoth, Brackenbury, Calloweigh, Dunmere, Eskelund, Farrowmont, Galbrandt, Hesperlane, Ingleforth, Jessamere, Kettlewynne, "
    "Lorimond, Marchbanque, Nettlefold, Ombrelle, Pendraggle, Quarrendon, Ravenscombe, Silverlock, Thornquist, Umberdale, Vanterpole, "
    "Wexmoor, Yarrowby, Zellweather, Applegarth, Bellwether, Crumblehulme"
)

OPENINGS: Final = words(
    "Return to, Two Winters with, Letters from, The Road to, One Summer with, Goodbye to, Nobody Waits for, Waiting for"
)

# One pair a hidden factor: what people say of films at either end of it.
MOODS: Final = (
    ("slow burn", "breakneck"),
    ("bleak", "heartwarming"),
    ("dialogue-driven", "visually stunning"),
    ("surreal", "down to earth"),
    ("ensemble cast", "one-person show"),
    ("bittersweet", "feel-good"),
)
