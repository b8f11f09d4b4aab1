# Stand-in for nixpkgs' `lib`: only names that nixpkgs has, with nixpkgs' meaning.
let
  b = builtins;
  lib = rec {
    inherit (b)
      add all any attrNames attrValues concatLists concatMap concatStringsSep elem elemAt filter foldl' fromJSON
      functionArgs genList getAttr groupBy hasAttr head isAttrs isBool isFloat isInt isList isPath isString length
      listToAttrs map mapAttrs match pathExists readDir readFile removeAttrs replaceStrings seq deepSeq sort
      stringLength substring tail toJSON tryEval zipAttrsWith isFunction compareVersions genericClosure
      ;
    inherit (import ./modules.nix lib)
      evalModules mkIf mkMerge mkOverride mkDefault mkOptionDefault mkForce mkVMOverride mkOrder mkBefore mkAfter
      mkOption mkEnableOption showOption
      ;
    types = import ./types.nix lib;
    trivial = { inherit id const pipe importJSON; };
    strings = lib;
    lists = lib;
    attrsets = lib;
    modules = lib;
    options = lib;

    id = x: x;
    const = x: _: x;
    flip = f: x: y: f y x;
    pipe = foldl' (x: f: f x);
    min = x: y: if x < y then x else y;
    max = x: y: if x > y then x else y;
    importJSON = path: fromJSON (readFile path);
    throwIf = bad: message: if bad then throw message else id;
    throwIfNot = good: throwIf (!good);
    warn = message: b.warn or (m: x: b.trace "evaluation warning: ${m}" x) message;
    warnIf = bad: message: if bad then warn message else id;
    literalExpression = text: {
      _type = "literalExpression";
      inherit text;
    };
    boolToString = x: if x then "true" else "false";

    optional = cond: x: if cond then [ x ] else [ ];
    optionals = cond: xs: if cond then xs else [ ];
    optionalString = cond: s: if cond then s else "";
    optionalAttrs = cond: set: if cond then set else { };

    # Lists
    singleton = x: [ x ];
    toList = x: if isList x then x else [ x ];
    last = xs: elemAt xs (length xs - 1);
    init = xs: genList (elemAt xs) (length xs - 1);
    take = n: xs: genList (elemAt xs) (min n (length xs));
    drop = n: xs: genList (i: elemAt xs (i + n)) (max 0 (length xs - n));
    foldr = f: z: xs: foldl' (acc: x: f x acc) z (reverseList xs);
    reverseList = xs: genList (i: elemAt xs (length xs - 1 - i)) (length xs);
    flatten = x: if isList x then concatMap flatten x else [ x ];
    unique = foldl' (acc: x: if elem x acc then acc else acc ++ [ x ]) [ ];
    allUnique = xs: length (unique xs) == length xs;
    partition = b.partition;
    imap0 = f: xs: genList (i: f i (elemAt xs i)) (length xs);
    imap1 = f: imap0 (i: f (i + 1));
    range = from: to: genList (i: from + i) (max 0 (to - from + 1));
    zipListsWith =
      f: xs: ys:
      genList (i: f (elemAt xs i) (elemAt ys i)) (min (length xs) (length ys));
    remove = x: filter (y: y != x);
    subtractLists = without: filter (x: !elem x without);
    findFirst =
      pred: default: xs:
      let
        found = filter pred xs;
      in
      if found == [ ] then default else head found;
    count = pred: xs: length (filter pred xs);

    # Attribute sets
    nameValuePair = name: value: { inherit name value; };
    genAttrs = names: f: listToAttrs (map (n: nameValuePair n (f n)) names);
    mapAttrsToList = f: set: map (n: f n set.${n}) (attrNames set);
    mapAttrs' = f: set: listToAttrs (mapAttrsToList f set);
    concatMapAttrs = f: set: mergeAttrsList (mapAttrsToList f set);
    filterAttrs = pred: set: removeAttrs set (filter (n: !pred n set.${n}) (attrNames set));
    mergeAttrsList = foldl' (x: y: x // y) { };
    attrsToList = mapAttrsToList nameValuePair;
    getAttrs = names: set: genAttrs names (n: set.${n});
    catAttrs = b.catAttrs;
    attrByPath =
      path: default: set:
      if path == [ ] then
        set
      else if isAttrs set && hasAttr (head path) set then
        attrByPath (tail path) default set.${head path}
      else
        default;
    hasAttrByPath =
      path: set:
      path == [ ] || isAttrs set && hasAttr (head path) set && hasAttrByPath (tail path) set.${head path};
    getAttrFromPath = path: attrByPath path (throw "cannot find attribute '${concatStringsSep "." path}'");
    setAttrByPath = path: value: foldr (name: acc: { ${name} = acc; }) value path;
    recursiveUpdate =
      x: y:
      x
      // mapAttrs (
        n: v: if isAttrs v && isAttrs (x.${n} or null) then recursiveUpdate x.${n} v else v
      ) y;
    isDerivation = x: isAttrs x && x.type or null == "derivation";

    # Strings
    concatStrings = concatStringsSep "";
    concatMapStrings = f: xs: concatStrings (map f xs);
    concatMapStringsSep =
      sep: f: xs:
      concatStringsSep sep (map f xs);
    concatMapAttrsStringSep =
      sep: f: set:
      concatStringsSep sep (mapAttrsToList f set);
    concatLines = concatMapStrings (s: s + "\n");
    intersperse = sep: xs: drop 1 (concatMap (x: [ sep x ]) xs);
    hasPrefix = prefix: s: substring 0 (stringLength prefix) s == prefix;
    hasSuffix =
      suffix: s:
      stringLength s >= stringLength suffix
      && substring (stringLength s - stringLength suffix) (stringLength suffix) s == suffix;
    hasInfix = infix: s: length (splitString infix s) > 1;
    removePrefix =
      prefix: s: if hasPrefix prefix s then substring (stringLength prefix) (-1) s else s;
    removeSuffix =
      suffix: s: if hasSuffix suffix s then substring 0 (stringLength s - stringLength suffix) s else s;
    stringToCharacters = s: genList (i: substring i 1 s) (stringLength s);
    splitString = sep: s: filter isString (b.split (escapeRegex sep) s);
    escape = chars: replaceStrings chars (map (c: "\\${c}") chars);
    escapeRegex = escape (stringToCharacters "\\[{()^$?*+|.");
    escapeShellArg =
      x:
      let
        s = toString x;
      in
      if match "[[:alnum:],._+:@%/-]+" s == null then "'${replaceStrings [ "'" ] [ "'\\''" ] s}'" else s;
    escapeShellArgs = concatMapStringsSep " " escapeShellArg;
    escapeNixString = s: escape [ "$" ] (toJSON s);
    escapeNixIdentifier = s: if match "[a-zA-Z_][a-zA-Z0-9_'-]*" s != null then s else escapeNixString s;
    lowerChars = stringToCharacters "abcdefghijklmnopqrstuvwxyz";
    upperChars = stringToCharacters "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    toLower = replaceStrings upperChars lowerChars;
    toUpper = replaceStrings lowerChars upperChars;
    trim =
      s:
      let
        parts = match "[[:space:]]*(.*[^[:space:]])[[:space:]]*" s;
      in
      if parts == null then "" else head parts;
    fixedWidthString =
      width: filler: s:
      if stringLength s >= width then s else filler + fixedWidthString (width - stringLength filler) filler s;
    toInt = s: if isInt (fromJSON s) then fromJSON s else throw "toInt: Could not convert ${s} to int.";
    versionAtLeast = x: y: compareVersions x y >= 0;
    versionOlder = x: y: compareVersions x y < 0;

    getExe = x: getExe' x (x.meta.mainProgram or x.pname or x.name);
    getExe' = x: name: "${x}/bin/${name}";
    getBin = x: x.bin or x.out or x;
    makeBinPath = concatMapStringsSep ":" (x: "${getBin x}/bin");
  };
in
lib
