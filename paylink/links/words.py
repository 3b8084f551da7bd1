"""Session words: three easy words that an agent says, and that the customer finds in the message and on the page.

They tell a true message from a forged one, and are no secret that opens anything. 630 words make 249 million
triples, so a forger who has one try does not guess them.
"""

import secrets
from typing import Final

COUNT: Final = 3
# Nouns and colours of four to nine letters that a child can spell from hearing them. No two begin with the same four
# letters, and none is a word of payments, a name of a person, or one to be embarrassed by.
_LISTED: Final = """
abbey acorn acrobat album alley almond alpine amber anchor angle ankle antler apple apron aqua archer arena
armor arrow artist aspen atlas attic autumn avenue award axle azure badge bagel baker ballet bamboo banana
banjo banner barge barley barn basil basket bazaar beach beetle bicycle birch bison blanket blazer blossom
bluebell boat bobcat bonfire bonus book border boulder bouquet bowl bramble branch bread breeze brick bridge
bronze broom brush bundle butter cabbage cabin cactus calendar camel canal candle canoe canvas captain caramel
carpet carrot castle cedar celery cello chair chalk chapel chess chimney chorus cinema cinnamon circle citrus
clarinet clay cliff clock cloud clover coach cobalt cobbler cobweb cocoa coffee column comet compass concert
confetti copper coral corner cottage cradle cranberry crayon cricket crocus crown crystal cucumber cupboard
curtain cushion cycle cypress dahlia daisy damson dance dawn denim diamond diary dinner dolphin dome domino
dragon drawer dream duck dune eagle easel echo eclipse elbow elegant eleven ember emerald engine evening
expert explorer fabric falcon family farmer feather fence fennel fern ferret festival fiddle field fiesta
finch finger firefly fish five flag flame flannel fleece flute foam forest fork fossil fountain frame freckle
future gadget galaxy gallery gannet garden garlic gate gazelle gecko gentle ginger giraffe glacier glass
glider globe glove gold gondola gopher grain granite grape grass gravel grizzly grove guest guitar gulf
gymnast halo hammer hamster harbor harp harvest hazel heart hedge helium helmet heron hobby holiday honey
hopscotch horizon horse hotel house humble iceberg icicle igloo indigo iris iron island ivory jacket jaguar
jasmine jaybird jelly jewel jigsaw journal jubilee juice jumper jungle juniper kangaroo kestrel kettle
keyboard keystone kimono kitchen kitten kiwi lace ladder lagoon lake lamp language lantern larch laser lattice
laundry lavender lawn leaf legend lemon leopard library lily lime linen lizard lobby lobster locket logic
lollipop lumber lunar lunch lynx macaw mackerel magnet magpie mahogany mailbox manatee mandolin mango maple
marble marigold market mason meadow melody mentor meteor midnight mill mimosa minnow mirror mitten mocha
modern moon morning mosaic mountain movie muffin mulberry museum mustard napkin nature navy nectar needle nest
nickel night nine noble north notebook nougat novel nutmeg nylon oasis oatmeal obelisk oboe ocean octave olive
onion opal opera orange orbit orchard oregano origami osprey ostrich otter oven oyster paddle pagoda paint
palace palm pamphlet pancake panda papaya paprika parade parrot parsley pasta patio peach pebble pelican
pencil pendant penguin perfume petal pheasant piano pickle picnic pillow pilot pinecone pioneer pistachio
plaid planet platinum plover pocket poem polar pollen porch porridge pottery powder present pretzel prism
puffin pulley pumpkin purple puzzle pyramid quail quarry quiet quilt rabbit radar radio raft rainbow raisin
ranch raspberry raven redwood reindeer relay reptile rhubarb ribbon riddle river rocket rooster rose ruby
runner saddle saffron salad salmon salsa salute samba sandal sapphire sardine satchel satin saturn scallop
scarf school scooter seagull season seaweed sesame seven shadow shamrock shell shepherd sherbet shore sierra
signal silver simple singer skate skylark slalom slipper slope sloth smile snorkel snow soap sofa sonnet
sorbet south spark spice spinach spiral spoon spring stable stadium stapler star statue stork stream studio
sugar summer sunrise sunset surf swallow swan sweater swing sycamore syrup table tadpole tailor talent
tangerine tapestry tartan teacup teapot telescope temple tennis theater thicket thimble thistle three thumb
thunder tiger timber tinsel tissue toast toffee tomato topaz torch toucan tower tractor train travel treasure
triangle trolley trophy truffle trumpet tuba tugboat tulip tundra tunnel turnip turquoise tweed twelve twenty
twig umbrella unicorn urban valley vanilla vase velvet venue verse victory village vineyard violet vivid
volcano voyage wafer waffle wagon walnut walrus waltz warbler water wave weaver weekend west whale wheat
whistle wicker willow windmill winter wisdom wizard wolf wombat wonder woodland writer yacht yard yellow yeti
yogurt zebra zenith zigzag zinc zipper
"""
WORDS: Final = tuple(_LISTED.split())


def session_words() -> str:
    """Three different words, such as ``amber river seven``."""
    chosen: list[str] = []
    while len(chosen) < COUNT:
        word = secrets.choice(WORDS)
        if word not in chosen:
            chosen.append(word)
    return " ".join(chosen)
