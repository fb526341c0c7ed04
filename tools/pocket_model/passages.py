"""Long answers of the grammar: explanations, procedures and definitions, as sentences that keep their order."""

from __future__ import annotations

#: What follows "Explain why" to four sentences; an answer takes two to four of them in this order.
EXPLANATIONS: dict[str, tuple[str, ...]] = {
    "leaves fall in autumn": (
        "In autumn the days grow short and the light becomes weak.",
        "A tree then makes less food and stops sending water to its leaves.",
        "A thin layer of cork closes the stem, so the leaf dries out.",
        "Wind and rain do the rest, and the tree saves water for the winter.",
    ),
    "the sky is blue": (
        "Sunlight contains all colours, and air scatters each of them differently.",
        "Blue light has short waves, which the air scatters far more than red ones.",
        "So blue light reaches our eyes from every part of the sky.",
        "In the evening the path is longer and mostly red light is left.",
    ),
    "ice floats on water": (
        "Most things shrink when they freeze, but water grows a little.",
        "Its molecules form an open pattern that leaves room between them.",
        "Ice is therefore lighter than the same volume of liquid.",
        "This keeps lakes from freezing to the bottom and protects the fish.",
    ),
    "we need sleep": (
        "During the night the body repairs muscles and builds new cells.",
        "The brain sorts what it learned and stores the important parts.",
        "Without enough rest we think slowly and become ill more often.",
        "Most adults feel well after seven or eight hours.",
    ),
    "birds fly south in winter": (
        "Insects and seeds become rare when the weather turns cold.",
        "Many birds travel to warmer places where food is easy to find.",
        "They follow the stars, the sun and the lines of the coast.",
        "In spring they return, because long days help them raise their young.",
    ),
    "bread rises": (
        "Yeast is a tiny living thing that eats the sugar in the dough.",
        "While it feeds, it gives off a gas that forms small bubbles.",
        "The sticky dough traps this gas and slowly swells.",
        "In the oven the bubbles grow once more and the loaf becomes light.",
    ),
    "iron rusts": (
        "Iron reacts with oxygen when it becomes wet.",
        "The reaction makes a brown powder that does not protect the metal below.",
        "Air and damp keep reaching fresh metal, so the damage goes on.",
        "Paint or oil keeps the water out and slows it down.",
    ),
    "the Moon changes its shape": (
        "The Moon does not shine by itself but reflects light from the sun.",
        "It circles the Earth once in about four weeks.",
        "On the way we see more or less of its bright half.",
        "That is why a thin crescent becomes a full disc and shrinks again.",
    ),
    "we have seasons": (
        "The axis of the Earth is tilted while it travels round the sun.",
        "For some months the northern half leans towards the light.",
        "Its days are then long and the rays fall steeply, which brings warmth.",
        "Half a year later it leans away, and winter comes.",
    ),
    "onions make us cry": (
        "A knife breaks the cells of the onion and sets free a sharp gas.",
        "The gas rises and meets the thin layer of water on the eye.",
        "Together they form a weak acid that stings.",
        "Tears flow at once to wash it away.",
    ),
    "cats purr": (
        "A purr comes from quick movements of muscles in the throat.",
        "It often shows that the animal feels safe and content.",
        "Some cats also do it when they are hurt or afraid.",
        "The gentle shaking may even help bones to heal.",
    ),
    "the sea is salty": (
        "Rain washes tiny amounts of minerals out of rocks.",
        "Rivers carry them down to the coast year after year.",
        "Water leaves again as vapour, but the salt stays behind.",
        "Over millions of years the taste has become strong.",
    ),
    "metal feels cold": (
        "A spoon and a wooden table in one room are equally warm.",
        "Metal leads heat away from the skin very quickly.",
        "Our nerves notice this loss and report that something is cold.",
        "Wood takes up heat slowly, so it feels pleasant.",
    ),
    "we yawn": (
        "Nobody knows the full answer, but there are good ideas.",
        "A deep breath may cool the brain and make us more alert.",
        "Yawning is also catching, which could help a group to rest together.",
        "It happens most when we are tired or bored.",
    ),
    "plants need light": (
        "Green leaves catch sunlight and use its energy to make sugar.",
        "They take water from the soil and a gas from the air.",
        "The sugar feeds roots, stems and fruit.",
        "In the dark this stops, and the plant turns pale and weak.",
    ),
    "thunder follows lightning": (
        "Lightning heats the air around it in an instant.",
        "The hot air spreads so fast that it makes a loud bang.",
        "Light reaches us at once, while sound takes three seconds for a kilometre.",
        "By counting we can tell how far away a storm is.",
    ),
    "soap cleans hands": (
        "Dirt often sticks to the skin with a thin film of fat.",
        "One end of a soap molecule clings to fat, the other to water.",
        "Rubbing breaks the film into tiny drops.",
        "Clean water then carries the drops and the germs away.",
    ),
    "stars twinkle": (
        "Starlight must pass through moving layers of warm and cold air.",
        "Each layer bends the ray a little in a new direction.",
        "The point of light seems to jump and change its brightness.",
        "Planets look larger, so they shine more calmly.",
    ),
    "camels have humps": (
        "A hump holds fat and not water, as many people believe.",
        "The animal lives on this store when there is nothing to eat.",
        "Keeping fat in one place lets the rest of the body stay cool.",
        "After a long journey the hump hangs down until it is filled again.",
    ),
    "exercise is healthy": (
        "Movement makes the heart stronger, so blood flows more easily.",
        "Muscles and bones stay firm when they are used every day.",
        "It also lifts the mood and helps people to sleep.",
        "Even a short walk is better than sitting all day.",
    ),
}

#: What follows "Describe how to" to the steps.
PROCEDURES: dict[str, tuple[str, ...]] = {
    "make tea": (
        "First boil fresh water in a kettle.",
        "Put a bag or a spoon of leaves into a cup and pour the water over it.",
        "Wait about four minutes and take the leaves out.",
        "Add milk, sugar or lemon if you like.",
    ),
    "boil an egg": (
        "First bring a small pot of water to the boil.",
        "Lower the egg into it carefully with a spoon.",
        "Let it cook for six minutes, or ten for a firm yolk.",
        "Cool it under cold water and peel it.",
    ),
    "plant a tree": (
        "First dig a hole twice as wide as the roots.",
        "Set the young tree upright in the middle.",
        "Fill the hole with earth and press it down with your feet.",
        "Water it well and tie it to a stake.",
    ),
    "wash a car": (
        "First rinse off the loose dirt with plenty of water.",
        "Rub every part with a soft sponge and mild soap.",
        "Work from the roof down to the wheels.",
        "Rinse again and dry the paint with a clean cloth.",
    ),
    "change a light bulb": (
        "First switch off the lamp and let it cool.",
        "Stand on a firm ladder and turn the old bulb to the left.",
        "Screw in a new one of the same size.",
        "Switch on the power and check that it works.",
    ),
    "write a letter": (
        "First put your address and the date at the top.",
        "Greet the reader by name and say why you write.",
        "Give each idea a short paragraph of its own.",
        "Close with a polite phrase and sign it.",
    ),
    "paint a wall": (
        "First move the furniture away and cover the floor.",
        "Fill small holes and let them dry.",
        "Start at the edges with a brush, then use a roller for the rest.",
        "Add a second coat on the next day.",
    ),
    "bake a cake": (
        "First heat the oven and grease a round tin.",
        "Beat butter, sugar and eggs until they are pale.",
        "Stir in flour and pour everything into the tin.",
        "Bake it for forty minutes and let it cool.",
    ),
    "brush your teeth": (
        "First put a little paste on a soft brush.",
        "Move it in small circles over every tooth, inside and outside.",
        "Keep going for two minutes.",
        "Spit out the foam and rinse the brush.",
    ),
    "learn a language": (
        "First learn the most common words and how they sound.",
        "Listen to songs and simple stories every day.",
        "Speak early, even when you make mistakes.",
        "Write down new phrases and repeat them each week.",
    ),
}

#: A closing sentence that only detailed answers carry.
CLOSINGS: tuple[str, ...] = (
    "You can try it at home and watch closely what happens, step by step, with a friend or with a child who asks.",
    "Many school books show this with a simple drawing, and a museum of science often has a model that can be touched.",
    "People found this out long ago by looking carefully, by asking good questions and by testing each of the answers.",
)

DEFINITIONS: dict[str, str] = {
    "island": "land with water all round it", "desert": "a dry region where little rain falls",
    "volcano": "a mountain that can throw out hot lava", "river": "a large stream that flows to the sea",
    "forest": "a large area covered with trees", "museum": "a building where old or valuable things are shown",
    "library": "a place that keeps books for people to read", "hospital": "a building where the sick are treated",
    "bakery": "a shop where bread and cakes are made", "orchard": "a piece of land with fruit trees",
    "harbour": "a sheltered place where ships can stay", "bridge": "a structure that carries a road over a gap",
    "tunnel": "a passage that runs under the ground", "castle": "a strong old building with thick walls",
    "farm": "land used for growing crops and keeping animals", "market": "a place where people buy and sell goods",
    "glacier": "a huge mass of ice that moves slowly", "planet": "a large round body that circles a star",
    "comet": "a ball of ice and dust with a bright tail", "eclipse": "the hiding of one body in the sky by another",
    "earthquake": "a sudden shaking of the ground", "drought": "a long time without rain",
    "flood": "water that covers land which is usually dry", "storm": "bad weather with strong wind and rain",
    "recipe": "a list of steps for cooking a dish", "diary": "a book in which someone writes about each day",
    "map": "a drawing that shows where places are", "dictionary": "a book that explains words",
    "novel": "a long story in the form of a book", "poem": "a text in lines that often rhyme",
    "orchestra": "a large group of people who play music together", "choir": "a group of people who sing together",
    "battery": "a thing that stores electric power", "magnet": "a piece of iron that attracts other iron",
    "engine": "a machine that turns fuel into motion", "telescope": "a tube with lenses for looking at far things",
    "passport": "a small book that lets you travel abroad", "election": "a vote in which people choose their leaders",
    "law": "a rule that everyone in a country must follow", "tax": "money that people pay to the state",
    "habit": "something a person does often without thinking", "shadow": "a dark shape where light is blocked",
    "echo": "a sound that comes back from a wall", "fossil": "the remains of a very old living thing in stone",
    "orphan": "a child whose parents have died", "widow": "a woman whose husband has died",
    "neighbour": "a person who lives close by", "tourist": "a person who travels for pleasure",
    "vitamin": "a substance in food that the body needs", "vaccine": "a medicine that protects against a disease",
}  # fmt: skip
