# Stand-in for nixpkgs' `lib.types`.
lib:
let
  inherit (lib)
    all any concatMap concatMapStringsSep concatStringsSep elem filter filterAttrs foldl' head imap1 isAttrs isBool
    isFloat isFunction isInt isList isPath isString last length map mapAttrs match tail toList zipAttrsWith
    ;
  modules = import ./modules.nix lib;
  inherit (modules) mergeDefinitions showOption showDefs;

  mkType = name: description: check: merge: {
    _type = "option-type";
    inherit name description check merge;
    getSubOptions = _: { };
  };
  # Within another type's description.
  phrase = t: if t.name == "submodule" then "(submodule)" else t.description;
  valuesOf = map (def: def.value);

  mergeOne =
    loc: defs:
    if length defs == 1 then
      (head defs).value
    else
      throw "The option `${showOption loc}' is defined multiple times while it's expected to be unique.\nDefinition values:${showDefs defs}\nUse `lib.mkForce value` or `lib.mkDefault value` to change the priority on any of these definitions.";

  mergeEqual =
    loc: defs:
    if all (def: def.value == (head defs).value) (tail defs) then
      (head defs).value
    else
      throw "The option `${showOption loc}' has conflicting definition values:${showDefs defs}\nUse `lib.mkForce value` or `lib.mkDefault value` to change the priority on any of these definitions.";

  scalar = name: description: check: mkType name description check mergeEqual;
  isStringLike = x: isString x || isPath x || lib.isDerivation x || x ? outPath;

  types = rec {
    inherit mkType;
    raw = mkType "raw" "raw value" (_: true) mergeOne;
    unspecified = anything // { name = "unspecified"; };
    bool = scalar "bool" "boolean" isBool;
    int = scalar "int" "signed integer" isInt;
    float = scalar "float" "floating point number" isFloat;
    number = either int float;
    ints = {
      between =
        low: high:
        addCheck int (x: x >= low && x <= high)
        // { description = "integer between ${toString low} and ${toString high} (both inclusive)"; };
      positive = addCheck int (x: x > 0) // { description = "positive integer, meaning >0"; };
      unsigned = addCheck int (x: x >= 0) // { description = "unsigned integer, meaning >=0"; };
      u16 = ints.between 0 65535;
    };
    port = ints.u16 // { description = "16 bit unsigned integer; between 0 and 65535 (both inclusive)"; };
    str = scalar "str" "string" isString;
    nonEmptyStr = addCheck str (s: match "[[:space:]]*" s == null) // { description = "non-empty string"; };
    singleLineStr =
      strMatching "[^\n\r]*\n?"
      // {
        description = "(optionally newline-terminated) single-line string";
        merge = loc: defs: lib.removeSuffix "\n" (mergeEqual loc defs);
      };
    strMatching =
      pattern: addCheck str (s: match pattern s != null) // { description = "string matching the pattern ${pattern}"; };
    separatedString =
      sep: mkType "separatedString" "strings concatenated with ${builtins.toJSON sep}" isString (_: defs: concatStringsSep sep (valuesOf defs));
    lines = separatedString "\n";
    commas = separatedString ",";
    envVar = separatedString ":";
    path = scalar "path" "absolute path" (x: isStringLike x && lib.hasPrefix "/" (toString x));
    package = mkType "package" "package" (x: lib.isDerivation x || isStringLike x && lib.hasPrefix builtins.storeDir (toString x)) mergeOne;
    enum =
      values:
      scalar "enum" (if length values == 1 then "value ${builtins.toJSON (head values)} (singular enum)" else "one of ${concatMapStringsSep ", " builtins.toJSON values}") (x: elem x values);
    attrs = mkType "attrs" "attribute set" isAttrs (_: defs: foldl' (x: def: x // def.value) { } defs) // { emptyValue = { }; };

    anything = mkType "anything" "anything" (_: true) (
      loc: defs:
      if length defs == 1 && !isAttrs (head defs).value then
        (head defs).value
      else if all (def: isAttrs def.value && !lib.isDerivation def.value) defs then
        (lazyAttrsOf anything).merge loc defs
      else if all (def: isList def.value) defs then
        concatMap (def: def.value) defs
      else
        mergeEqual loc defs
    );

    nullOr =
      elemType:
      mkType "nullOr" "null or ${phrase elemType}" (x: x == null || elemType.check x) (
        loc: defs:
        let
          nulls = filter (def: def.value == null) defs;
        in
        if length nulls == length defs then
          null
        else if nulls != [ ] then
          throw "The option `${showOption loc}' is defined both null and not null, in ${concatMapStringsSep " and in " (def: "`${def.file}'") defs}."
        else
          elemType.merge loc defs
      )
      // {
        emptyValue = null;
        inherit (elemType) getSubOptions;
      };

    listOf =
      elemType:
      mkType "listOf" "list of ${phrase elemType}" isList (
        loc: defs:
        concatMap (
          def:
          concatMap (
            value:
            let
              merged = mergeDefinitions (loc ++ [ "[definition]" ]) elemType [ { inherit (def) file; inherit value; } ];
            in
            if merged.isDefined then [ merged.value ] else [ ]
          ) def.value
        ) defs
      )
      // {
        emptyValue = [ ];
        getSubOptions = path: elemType.getSubOptions (path ++ [ "*" ]);
      };
    nonEmptyListOf = elemType: addCheck (listOf elemType) (xs: xs != [ ]) // { description = "non-empty (list of ${elemType.description})"; };

    attrsOf = elemType: attrsOf' elemType (filterAttrs (_: merged: merged.isDefined));
    lazyAttrsOf = elemType: attrsOf' elemType (x: x);
    attrsOf' =
      elemType: onlyDefined:
      mkType "attrsOf" "attribute set of ${phrase elemType}" isAttrs (
        loc: defs:
        mapAttrs (_: merged: merged.value) (
          onlyDefined (
            zipAttrsWith (name: mergeDefinitions (loc ++ [ name ]) elemType) (
              concatMap (
                def:
                map (mapAttrs (_: value: { inherit (def) file; inherit value; })) (modules.pushDown def.value)
              ) defs
            )
          )
        )
      )
      // {
        emptyValue = { };
        getSubOptions = path: elemType.getSubOptions (path ++ [ "<name>" ]);
      };

    either =
      t1: t2:
      mkType "either" "${t1.description} or ${t2.description}" (x: t1.check x || t2.check x) (
        loc: defs:
        if all (x: t1.check x) (valuesOf defs) then
          t1.merge loc defs
        else if all (x: t2.check x) (valuesOf defs) then
          t2.merge loc defs
        else
          mergeOne loc defs
      );
    oneOf = ts: foldl' either (head ts) (tail ts);

    coercedTo =
      from: coerce: to:
      mkType "coercedTo" "${to.description} or ${from.description} convertible to it" (x: from.check x || to.check x) (
        loc: defs:
        to.merge loc (map (def: def // { value = if from.check def.value then coerce def.value else def.value; }) defs)
      );

    submodule =
      base:
      let
        eval =
          loc: defs:
          lib.evalModules {
            modules =
              toList base
              ++ map (
                def: if isAttrs def.value then { _file = def.file; config = def.value; } else def.value
              ) defs;
            prefix = loc;
            specialArgs.name = if defs == [ ] then "‹name›" else last loc;
          };
      in
      mkType "submodule" "submodule" (x: isAttrs x || isFunction x || isPath x) (loc: defs: (eval loc defs).config)
      // {
        emptyValue = { };
        # For documentation, where it has no name.
        getSubOptions = path: (eval path [ ]).options;
      };

    addCheck = type: check: type // { check = x: type.check x && check x; };
    uniq = type: type // { merge = mergeOne; };
  };
in
types
