"""Facts about the world that the grammar asks for: countries, colours, young animals, jobs, units, elements, dates."""

from __future__ import annotations

_COUNTRIES = """
France,Paris,Europe,French|Germany,Berlin,Europe,German|Italy,Rome,Europe,Italian|Spain,Madrid,Europe,Spanish|
Portugal,Lisbon,Europe,Portuguese|Greece,Athens,Europe,Greek|Poland,Warsaw,Europe,Polish|Austria,Vienna,Europe,German|
Hungary,Budapest,Europe,Hungarian|Sweden,Stockholm,Europe,Swedish|Norway,Oslo,Europe,Norwegian|
Denmark,Copenhagen,Europe,Danish|Finland,Helsinki,Europe,Finnish|Iceland,Reykjavik,Europe,Icelandic|
Ireland,Dublin,Europe,English|Romania,Bucharest,Europe,Romanian|Bulgaria,Sofia,Europe,Bulgarian|
Croatia,Zagreb,Europe,Croatian|Serbia,Belgrade,Europe,Serbian|Ukraine,Kyiv,Europe,Ukrainian|
Russia,Moscow,Europe,Russian|Albania,Tirana,Europe,Albanian|Latvia,Riga,Europe,Latvian|Estonia,Tallinn,Europe,Estonian|
Lithuania,Vilnius,Europe,Lithuanian|Japan,Tokyo,Asia,Japanese|China,Beijing,Asia,Chinese|Thailand,Bangkok,Asia,Thai|
Vietnam,Hanoi,Asia,Vietnamese|Mongolia,Ulaanbaatar,Asia,Mongolian|Nepal,Kathmandu,Asia,Nepali|
Iran,Tehran,Asia,Persian|Iraq,Baghdad,Asia,Arabic|Jordan,Amman,Asia,Arabic|Syria,Damascus,Asia,Arabic|
Indonesia,Jakarta,Asia,Indonesian|Cambodia,Phnom Penh,Asia,Khmer|Egypt,Cairo,Africa,Arabic|
Morocco,Rabat,Africa,Arabic|Tunisia,Tunis,Africa,Arabic|Algeria,Algiers,Africa,Arabic|Libya,Tripoli,Africa,Arabic|
Senegal,Dakar,Africa,French|Angola,Luanda,Africa,Portuguese|Somalia,Mogadishu,Africa,Somali|
Ethiopia,Addis Ababa,Africa,Amharic|Mali,Bamako,Africa,French|Brazil,Brasilia,South America,Portuguese|
Peru,Lima,South America,Spanish|Chile,Santiago,South America,Spanish|Colombia,Bogota,South America,Spanish|
Argentina,Buenos Aires,South America,Spanish|Ecuador,Quito,South America,Spanish|
Venezuela,Caracas,South America,Spanish|Uruguay,Montevideo,South America,Spanish|Cuba,Havana,North America,Spanish|
Mexico,Mexico City,North America,Spanish|Panama,Panama City,North America,Spanish|Jamaica,Kingston,North America,English
"""
COUNTRIES: tuple[tuple[str, str, str, str], ...] = tuple(
    (row.split(",")[0], row.split(",")[1], row.split(",")[2], row.split(",")[3])
    for row in _COUNTRIES.replace("\n", "").split("|")
)
CAPITALS: dict[str, str] = {row[0]: row[1] for row in COUNTRIES}
CONTINENTS: dict[str, str] = {row[0]: row[2] for row in COUNTRIES}
LANGUAGES: dict[str, str] = {row[0]: row[3] for row in COUNTRIES}


def _table(rows: str) -> dict[str, str]:
    """A table from `key=value` rows separated by bars."""
    parts = (row.partition("=") for row in rows.split("|"))
    return {key: value for key, _, value in parts}


COLOURS = _table(
    "a ripe banana=yellow|grass=green|snow=white|coal=black|a ripe tomato=red|a carrot=orange|"
    "the clear sky=blue|milk=white|a lemon=yellow|blood=red|chocolate=brown|a lime=green|a flamingo=pink|"
    "a raven=black|an elephant=grey|a fire engine=red|a pumpkin=orange|spinach=green|salt=white|"
    "an emerald=green|a ruby=red|a sapphire=blue|gold=yellow|mud=brown|a violet=purple|an eggplant=purple|"
    "a swan=white|a strawberry=red|a crow=black|a frog=green|a polar bear=white|a cherry=red|broccoli=green|"
    "a mouse=grey|a canary=yellow|butter=yellow|ink=black|a sunflower=yellow|a cucumber=green|coffee=brown|"
    "cotton=white|an orange=orange|a pig=pink|a plum=purple|rust=brown|a storm cloud=grey"
)
YOUNG = _table(
    "dog=puppy|cat=kitten|cow=calf|horse=foal|sheep=lamb|goat=kid|pig=piglet|duck=duckling|goose=gosling|"
    "hen=chick|lion=cub|bear=cub|tiger=cub|deer=fawn|frog=tadpole|swan=cygnet|kangaroo=joey|eagle=eaglet|"
    "owl=owlet|fox=cub|elephant=calf|whale=calf|seal=pup|wolf=pup|butterfly=caterpillar"
)
SOUNDS = _table(
    "dog=bark|cat=meow|cow=moo|sheep=bleat|horse=neigh|pig=oink|duck=quack|lion=roar|frog=croak|owl=hoot|"
    "bee=buzz|snake=hiss|wolf=howl|crow=caw|mouse=squeak|pigeon=coo|rooster=crow|turkey=gobble|donkey=bray|"
    "goose=honk"
)
HOMES = _table(
    "bee=hive|bird=nest|spider=web|horse=stable|dog=kennel|lion=den|rabbit=burrow|pig=sty|chicken=coop|"
    "ant=anthill|beaver=lodge|cow=barn|king=castle|monk=monastery|snail=shell|soldier=barracks"
)
JOBS = _table(
    "bakes bread=a baker|teaches children=a teacher|flies planes=a pilot|cuts hair=a barber|"
    "grows crops=a farmer|puts out fires=a firefighter|fixes pipes=a plumber|treats sick animals=a vet|"
    "cleans teeth=a dentist|builds walls=a bricklayer|delivers letters=a postman|makes clothes=a tailor|"
    "sells meat=a butcher|catches fish=a fisherman|paints pictures=a painter|writes novels=an author|"
    "designs houses=an architect|repairs cars=a mechanic|drives a taxi=a taxi driver|judges trials=a judge|"
    "looks after books=a librarian|cooks meals in a restaurant=a chef|works with wood=a carpenter|"
    "studies stars=an astronomer|plays in a film=an actor|leads an orchestra=a conductor|digs for coal=a miner|"
    "shoes horses=a blacksmith|sells flowers=a florist|guards prisoners=a warden"
)
USES = _table(
    "cut paper=scissors|measure time=a clock|unlock a door=a key|drive in a nail=a hammer|"
    "see far stars=a telescope|see tiny cells=a microscope|dig a hole=a shovel|sweep the floor=a broom|"
    "eat soup=a spoon|stay dry in the rain=an umbrella|measure heat=a thermometer|find north=a compass|"
    "take a picture=a camera|call a friend=a telephone|keep food cold=a fridge|sew a button=a needle|"
    "cut wood=a saw|carry water=a bucket|dry the hair=a towel|iron a shirt=an iron|boil water=a kettle|"
    "weigh flour=a scale|draw a circle=a pair of compasses|tighten a bolt=a wrench|write on a blackboard=chalk|"
    "light a candle=a match"
)
ELEMENTS = _table(
    "hydrogen=H|helium=He|carbon=C|nitrogen=N|oxygen=O|sodium=Na|magnesium=Mg|aluminium=Al|silicon=Si|"
    "sulphur=S|chlorine=Cl|potassium=K|calcium=Ca|iron=Fe|copper=Cu|zinc=Zn|silver=Ag|tin=Sn|iodine=I|gold=Au|"
    "mercury=Hg|lead=Pb|neon=Ne|nickel=Ni|platinum=Pt|uranium=U|lithium=Li|argon=Ar|titanium=Ti|chromium=Cr"
)
BLANKS = _table(
    "The sun rises in the ___.=east|The sun sets in the ___.=west|Water freezes at zero ___.=degrees|"
    "A spider has eight ___.=legs|The Earth goes round the ___.=sun|Bees make ___.=honey|Cows give ___.=milk|"
    "Fish breathe with ___.=gills|Birds lay ___.=eggs|Plants need light and ___.=water|"
    "The heart pumps ___.=blood|We hear with our ___.=ears|We see with our ___.=eyes|"
    "A triangle has three ___.=sides|Bread is made from ___.=flour|Paper is made from ___.=wood|"
    "Snow falls in ___.=winter|Leaves fall in ___.=autumn|Wine is made from ___.=grapes|"
    "Glass is made from ___.=sand|A year has twelve ___.=months|A week has seven ___.=days|"
    "Ships sail on the ___.=sea|Trains run on ___.=rails|Fire needs ___.=oxygen|Ice is frozen ___.=water|"
    "The Moon goes round the ___.=Earth|Cheese is made from ___.=milk|Silk comes from a ___.=worm|"
    "We smell with our ___.=nose"
)

#: (big unit, small unit, how many small ones make a big one), all in the plural.
UNITS: tuple[tuple[str, str, int], ...] = (
    ("hours", "minutes", 60), ("minutes", "seconds", 60), ("days", "hours", 24), ("weeks", "days", 7),
    ("years", "months", 12), ("metres", "centimetres", 100), ("kilometres", "metres", 1000),
    ("kilograms", "grams", 1000), ("feet", "inches", 12), ("dozens", "pieces", 12), ("decades", "years", 10),
    ("centimetres", "millimetres", 10),
)  # fmt: skip

DAYS: tuple[str, ...] = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS: tuple[str, ...] = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
