"""Word lists of the grammar: nouns by category, adjectives, verbs, rhymes, opposites, synonyms, translations.

Every list is small enough for a model of five million parameters to have met each entry thousands of times.
"""

from __future__ import annotations


def _split(text: str) -> tuple[str, ...]:
    """The words of a text."""
    return tuple(text.split())


def _pairs(text: str) -> dict[str, str]:
    """A table from pairs of words separated by bars."""
    rows = (row.partition(" ") for row in text.split("|"))
    return {one: other for one, _, other in rows}


#: Category name to its members; no word stands in two categories, so that a member names its category.
CATEGORIES: dict[str, tuple[str, ...]] = {
    "bird": _split("eagle owl robin sparrow crow swan duck goose parrot penguin pigeon hawk stork falcon"),
    "mammal": _split(
        "tiger lion horse cow dog cat wolf bear rabbit mouse elephant giraffe monkey sheep goat camel fox deer"
    ),
    "fish": _split("salmon trout tuna shark cod herring carp eel sardine pike"),
    "insect": _split("ant bee wasp beetle moth butterfly mosquito cricket fly termite"),
    "fruit": _split("apple pear plum cherry banana mango grape lemon melon peach apricot fig kiwi papaya"),
    "vegetable": _split("carrot potato onion cabbage spinach broccoli radish turnip leek celery pumpkin bean"),
    "tool": _split("hammer saw drill wrench shovel rake axe chisel screwdriver ladder pliers file"),
    "vehicle": _split("car bus train bicycle truck tractor tram van scooter ship helicopter canoe"),
    "piece of furniture": _split("chair table sofa desk bed shelf cupboard stool bench wardrobe"),
    "instrument": _split("piano violin guitar drum flute trumpet harp cello clarinet banjo organ"),
    "piece of clothing": _split("shirt hat coat scarf glove sock jacket sweater skirt belt shoe"),
    "sport": _split("tennis football hockey golf rugby boxing swimming rowing skiing judo"),
    "metal": _split("iron gold silver copper zinc tin lead nickel"),
    "drink": _split("tea coffee milk juice water cocoa lemonade soda"),
    "part of the body": _split("knee elbow nose ear finger shoulder neck ankle wrist toe"),
}

#: Plural names of the categories, for tasks that ask for several members.
CATEGORY_PLURALS: dict[str, str] = {
    "bird": "birds", "mammal": "mammals", "fish": "kinds of fish", "insect": "insects", "fruit": "fruits",
    "vegetable": "vegetables", "tool": "tools", "vehicle": "vehicles", "piece of furniture": "pieces of furniture",
    "instrument": "instruments", "piece of clothing": "pieces of clothing", "sport": "sports", "metal": "metals",
    "drink": "drinks", "part of the body": "parts of the body",
}  # fmt: skip

CATEGORY_OF: dict[str, str] = {word: name for name, members in CATEGORIES.items() for word in members}

UNCOUNTED = frozenset(
    (*CATEGORIES["sport"], *CATEGORIES["metal"], *CATEGORIES["drink"], "pliers", "spinach", "broccoli", "celery")
)

#: Other everyday nouns, used for plurals, letters and vague tasks.
THINGS = _split(
    "house river child mountain garden window letter bridge forest bottle candle pencil basket island castle village "
    "knife wolf leaf tooth foot woman man city country baby box church dish story family party berry lady loaf wife "
    "half thief glass bus watch brush fox tomato hero echo cloud stone road flower school teacher doctor farmer "
    "kitchen market engine mirror blanket pillow button ticket wallet needle planet rocket camera"
)

_IRREGULAR_PLURALS = {
    "child": "children", "mouse": "mice", "goose": "geese", "tooth": "teeth", "foot": "feet", "woman": "women",
    "man": "men", "sheep": "sheep", "deer": "deer", "knife": "knives", "wolf": "wolves", "leaf": "leaves",
    "loaf": "loaves", "wife": "wives", "half": "halves", "thief": "thieves", "shelf": "shelves", "scarf": "scarves",
    "tomato": "tomatoes", "potato": "potatoes", "hero": "heroes", "echo": "echoes", "salmon": "salmon",
    "trout": "trout", "tuna": "tuna", "cod": "cod", "herring": "herrings", "carp": "carp", "pike": "pike",
    "mosquito": "mosquitoes", "mango": "mangoes",
}  # fmt: skip


def plural_of(noun: str) -> str:
    """The plural of a noun of the lists above."""
    if noun in _IRREGULAR_PLURALS:
        return _IRREGULAR_PLURALS[noun]
    if noun.endswith(("s", "x", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def with_article(noun: str) -> str:
    """The noun with its indefinite article, or bare when it is not counted."""
    if noun in UNCOUNTED:
        return noun
    return ("an " if noun[0] in "aeiou" else "a ") + noun


PLURAL_NOUNS: tuple[str, ...] = tuple(
    dict.fromkeys(
        word for word in (*THINGS, *(w for members in CATEGORIES.values() for w in members)) if word not in UNCOUNTED
    )
)

#: Words for the letter and order tasks.
SPELLING_WORDS: tuple[str, ...] = tuple(dict.fromkeys((*CATEGORY_OF, *THINGS)))

_OPPOSITES = """
hot cold|big small|tall short|fast slow|happy sad|light dark|early late|full empty|old young|hard soft|high low|
rich poor|strong weak|wet dry|wide narrow|thick thin|open closed|clean dirty|loud quiet|brave cowardly|deep shallow|
sweet bitter|true false|near far|right left|up down|inside outside|begin end|push pull|buy sell|give take|win lose|
love hate|arrive leave|remember forget|laugh cry|enter exit|accept refuse|increase decrease|sharp blunt|smooth rough|
heavy weightless|polite rude|safe dangerous|simple complex|cheap expensive|awake asleep|alive dead|public private|
ancient modern|guilty innocent|always never|many few|above below|front back|day night|friend enemy|peace war|
victory defeat|question answer|success failure|heaven hell|north south|east west|summer winter
"""
OPPOSITES: dict[str, str] = {}
for _pair in _OPPOSITES.replace("\n", "").split("|"):
    _one, _two = _pair.split()
    OPPOSITES[_one], OPPOSITES[_two] = _two, _one

SYNONYMS: dict[str, str] = _pairs(
    "large big|tiny small|quick fast|glad happy|angry mad|smart clever|begin start|finish end|shout yell|"
    "jump leap|difficult hard|easy simple|silent quiet|ill sick|wealthy rich|scared afraid|tired weary|"
    "gift present|street road|ocean sea|stone rock|infant baby|physician doctor|automobile car|"
    "reply answer|choose pick|repair fix|purchase buy|assist help|hide conceal|error mistake|odd strange|"
    "correct right|beautiful pretty|unhappy sad|ancient old|brave bold|damp wet|fragile delicate|"
    "journey trip|labour work|cease stop"
)

PAST_TENSES: dict[str, str] = _pairs(
    "go went|eat ate|see saw|run ran|write wrote|sing sang|drink drank|swim swam|give gave|take took|"
    "come came|make made|find found|think thought|bring brought|buy bought|catch caught|teach taught|"
    "sleep slept|keep kept|leave left|feel felt|lose lost|win won|sit sat|stand stood|speak spoke|"
    "break broke|choose chose|drive drove|ride rode|rise rose|fly flew|grow grew|know knew|throw threw|"
    "draw drew|fall fell|hold held|tell told|sell sold|send sent|spend spent|build built|lend lent|"
    "meet met|lead led|read read|cut cut|put put|hit hit|walk walked|talk talked|play played|cook cooked|"
    "paint painted|clean cleaned|jump jumped|carry carried|study studied|try tried|stop stopped|"
    "plan planned|dance danced|smile smiled|open opened|wash washed|forget forgot|begin began|hear heard|"
    "shake shook|steal stole|wear wore|bite bit|dig dug|feed fed|freeze froze"
)

RHYMES: tuple[tuple[str, ...], ...] = tuple(
    tuple(group.split())
    for group in (
        "cat hat bat mat rat|dog fog log frog|sun run fun bun|tree bee knee sea key|light night right kite|"
        "cake lake snake rake|ring king song wing sing|moon spoon noon soon|car star far jar|"
        "boat coat goat note|bed red head thread|ball tall wall fall|nose rose toes hose|"
        "train rain plane chain|book cook hook look|fish dish wish|clock sock rock lock|chair bear pear hair|"
        "mouse house blouse|hill mill pill bill|bell shell well smell|door floor four more|duck truck luck|"
        "ice rice mice dice|gold cold old fold|day play way hay|sky fly pie eye|ten pen hen men|box fox socks|"
        "bag flag rag"
    )
    .replace("ring king song wing sing", "ring king wing sing thing")
    .split("|")
)
RHYMES_OF: dict[str, tuple[str, ...]] = {
    word: tuple(other for other in group if other != word) for group in RHYMES for word in group
}

_TRANSLATIONS = """
dog chien perro|cat chat gato|horse cheval caballo|bird oiseau pájaro|fish poisson pez|house maison casa|
water eau agua|bread pain pan|milk lait leche|cheese fromage queso|wine vin vino|apple pomme manzana|
tree arbre árbol|flower fleur flor|sun soleil sol|moon lune luna|star étoile estrella|sea mer mar|river rivière río|
mountain montagne montaña|door porte puerta|window fenêtre ventana|table table mesa|chair chaise silla|bed lit cama|
book livre libro|school école escuela|city ville ciudad|street rue calle|friend ami amigo|mother mère madre|
father père padre|brother frère hermano|sister sœur hermana|child enfant niño|man homme hombre|woman femme mujer|
head tête cabeza|hand main mano|heart cœur corazón|red rouge rojo|white blanc blanco|black noir negro|
green vert verde|blue bleu azul|night nuit noche|day jour día|year année año|time temps tiempo|fire feu fuego|
sky ciel cielo|king roi rey|salt sel sal|sugar sucre azúcar|egg œuf huevo|meat viande carne|rain pluie lluvia|
snow neige nieve|wind vent viento|love amour amor
"""
TRANSLATIONS: dict[str, dict[str, str]] = {"French": {}, "Spanish": {}}
for _row in _TRANSLATIONS.replace("\n", "").split("|"):
    _english, _french, _spanish = _row.split()
    TRANSLATIONS["French"][_english] = _french
    TRANSLATIONS["Spanish"][_english] = _spanish

#: Sentence parts of the rewriting tasks: base form, third person, past tense, the rest of the sentence.
_PREDICATES = (
    "walk walks walked to the park|eat eats ate an apple|read reads read a long book|"
    "drink drinks drank cold milk|play plays played the piano|write writes wrote a letter|"
    "sing sings sang a song|drive drives drove to work|ride rides rode a bicycle|"
    "cook cooks cooked dinner|paint paints painted the fence|clean cleans cleaned the kitchen|"
    "wash washes washed the car|buy buys bought fresh bread|sell sells sold old books|"
    "carry carries carried a heavy bag|feed feeds fed the birds|open opens opened the window|"
    "close closes closed the door|build builds built a house|draw draws drew a map|"
    "catch catches caught the bus|teach teaches taught music|grow grows grew roses|"
    "visit visits visited the museum|watch watches watched the game|call calls called a friend|"
    "swim swims swam in the lake|run runs ran every morning|sleep sleeps slept on the sofa|"
    "wear wears wore a red hat|keep keeps kept a diary|lose loses lost the keys|"
    "find finds found a coin|send sends sent a card|throw throws threw the ball|"
    "climb climbs climbed the hill|plant plants planted a tree|study studies studied history|"
    "bake bakes baked a cake"
)
PREDICATES: tuple[tuple[str, str, str, str], ...] = tuple(
    (base, third, past, rest) for base, third, past, rest in (row.split(" ", 3) for row in _PREDICATES.split("|"))
)
SUBJECTS: tuple[str, ...] = (
    "She", "He", "Tom", "Anna", "My uncle", "My sister", "The teacher", "The doctor", "The farmer", "Our neighbour",
    "Maria", "Peter", "The girl", "The boy", "My friend", "The old man", "Her brother", "The nurse",
)  # fmt: skip

ADJECTIVES = _split("small quiet bright useful old lovely common strong gentle strange warm popular")
