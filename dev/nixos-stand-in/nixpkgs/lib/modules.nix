# Stand-in for nixpkgs' module system: options, definitions with conditions, priorities and order, and the
# error messages that their author would see on NixOS.
lib:
let
  inherit (lib)
    all attrNames concatLists concatMap concatMapStringsSep concatStringsSep elem filter foldl' functionArgs head
    imap1 isAttrs isBool isFunction isList length listToAttrs map mapAttrs mapAttrsToList nameValuePair optional
    recursiveUpdate removeAttrs setAttrByPath sort tail zipAttrsWith
    ;

  has = type: x: isAttrs x && x._type or null == type;

  showOption = concatMapStringsSep "." (
    part: if lib.hasPrefix "[" part || part == "<name>" then part else lib.escapeNixIdentifier part
  );

  showValue =
    x:
    let
      json = builtins.tryEval (builtins.toJSON x);
    in
    if isAttrs x then
      "{ ${concatMapStringsSep " " (n: "${lib.escapeNixIdentifier n} = …;") (attrNames x)} }"
    else if isFunction x then
      "<function>"
    else if isList x then
      "[ ${concatMapStringsSep " " showValue x} ]"
    else if json.success then
      builtins.unsafeDiscardStringContext json.value
    else
      "<not evaluated>";

  showDefs = concatMapStringsSep "" (def: "\n- In `${def.file}': ${showValue def.value}");

  # Modules, with their imports, in the order of nixpkgs: what a module imports comes after the module.
  collect =
    args: modules:
    let
      load =
        parent: n: m:
        if isAttrs m || isFunction m then
          normalize parent.file "${parent.key}:anon-${toString n}" (apply m)
        else
          normalize (toString m) (toString m) (apply (import m));
      apply = m: if isFunction m then m args else m;
      loadAll = parent: list: imap1 (load parent) list;
    in
    builtins.genericClosure {
      startSet = loadAll { file = "<unknown-file>"; key = ""; } modules;
      operator = m: loadAll m m.imports;
    };

  normalize =
    fallbackFile: fallbackKey: m:
    let
      file = toString (m._file or fallbackFile);
      meta = [ "_file" "key" "imports" "disabledModules" "freeformType" ];
      unknown = removeAttrs m (meta ++ [ "options" "config" "meta" ]);
    in
    {
      key = toString (m.key or fallbackKey);
      inherit file;
      imports = m.imports or [ ];
      freeform = m.freeformType or null;
      options = m.options or { };
      config =
        if m ? options || m ? config then
          if unknown == { } then
            m.config or { }
          else
            throw "Module `${file}' has an unsupported attribute `${head (attrNames unknown)}'. This is caused by introducing a top-level `config' or `options' attribute. Add configuration attributes immediately on the top level instead, or move all of them (namely: ${concatStringsSep " " (attrNames unknown)}) into the explicit `config' attribute."
        else
          removeAttrs m meta;
    };

  # Moves conditions and priorities of an attribute set onto its attributes, so that the names are known first.
  pushDown =
    cfg:
    if has "merge" cfg then
      concatMap pushDown cfg.contents
    else if has "if" cfg then
      map (mapAttrs (_: mkIf cfg.condition)) (pushDown cfg.content)
    else if has "override" cfg then
      map (mapAttrs (_: mkOverride cfg.priority)) (pushDown cfg.content)
    else
      [ cfg ];

  discharge =
    value:
    if has "merge" value then
      concatMap discharge value.contents
    else if has "if" value then
      if !isBool value.condition then
        throw "‘mkIf’ called with a non-Boolean condition"
      else if value.condition then
        discharge value.content
      else
        [ ]
    else
      [ value ];

  # The definitions that count: conditions resolved, only those of the best priority, in order.
  winning =
    defs:
    let
      discharged = concatMap (def: map (value: def // { inherit value; }) (discharge def.value)) defs;
      prioOf = def: if has "override" def.value then def.value.priority else 100;
      best = foldl' (p: def: lib.min p (prioOf def)) 9999 discharged;
      strip = def: if has "override" def.value then def // { value = def.value.content; } else def;
      best' = map strip (filter (def: prioOf def == best) discharged);
      orderOf = def: if has "order" def.value then def.value.priority else 1000;
      unorder = def: if has "order" def.value then def // { value = def.value.content; } else def;
    in
    if lib.any (def: has "order" def.value) best' then
      map unorder (sort (x: y: orderOf x < orderOf y) best')
    else
      best';

  # { isDefined, value } of all definitions of one value.
  mergeDefinitions =
    loc: type: defs:
    let
      defs' = winning defs;
      bad = filter (def: !type.check def.value) defs';
    in
    {
      isDefined = defs' != [ ];
      definitions = defs';
      value =
        if bad != [ ] then
          throw "A definition for option `${showOption loc}' is not of type `${type.description}'. Definition values:${showDefs bad}"
        else if defs' != [ ] then
          type.merge loc defs'
        else if type ? emptyValue then
          type.emptyValue
        else
          throw "The option `${showOption loc}' was accessed but has no value defined. Try setting the option.";
    };

  evalOption =
    loc: opt: defs:
    let
      type = opt.type or lib.types.unspecified;
      default = optional (opt ? default) {
        file = opt.file;
        value = mkOptionDefault opt.default;
      };
      merged = mergeDefinitions loc type (default ++ defs);
    in
    opt
    // {
      inherit loc type;
      inherit (merged) isDefined definitions;
      value = (opt.apply or (x: x)) merged.value;
    };

  # Lays definitions over declared options: the tree of evaluated options, and the definitions of no option.
  mergeTree =
    prefix: declarations: definitions:
    let
      declared = zipAttrsWith (_: values: values) (
        map (d: mapAttrs (_: value: { inherit (d) file; inherit value; }) d.options) declarations
      );
      defined = zipAttrsWith (_: values: values) (
        concatMap (
          def:
          map (
            cfg:
            if isAttrs cfg then
              mapAttrs (_: value: { inherit (def) file; inherit value; }) cfg
            else
              throw "The option path `${showOption prefix}' is an attribute set of options, but it is set to ${showValue cfg} in `${def.file}'."
          ) (pushDown def.value)
        ) definitions
      );
      nodes = mapAttrs (
        name: decls:
        let
          loc = prefix ++ [ name ];
          defs = defined.${name} or [ ];
          isOption = d: has "option" d.value;
        in
        if all isOption decls then
          {
            leaf = true;
            options =
              if length decls > 1 then
                throw "The option `${showOption loc}' in `${(head (tail decls)).file}' is already declared in `${(head decls).file}'."
              else
                evalOption loc ({ inherit (head decls) file; } // (head decls).value) defs;
          }
        else if lib.any isOption decls then
          throw "The option `${showOption loc}' is a prefix of options in other modules."
        else
          { leaf = false; }
          // mergeTree loc (map (d: { inherit (d) file; options = d.value; }) decls) defs
      ) declared;
    in
    {
      options = mapAttrs (_: node: node.options) nodes;
      config = mapAttrs (_: node: if node.leaf then node.options.value else node.config) nodes;
      unmatched =
        concatLists (mapAttrsToList (_: node: node.unmatched or [ ]) nodes)
        ++ concatLists (
          mapAttrsToList (name: defs: map (def: def // { path = [ name ]; loc = prefix ++ [ name ]; }) defs) (
            removeAttrs defined (attrNames declared)
          )
        );
    };

  evalModules =
    {
      modules,
      specialArgs ? { },
      prefix ? [ ],
    }:
    let
      # nixpkgs, too, merges definitions from the last module to the first.
      collected = lib.reverseList (collect (specialArgs // { inherit lib config options; }) modules);
      tree = mergeTree prefix collected (map (m: { inherit (m) file; value = m.config; }) collected);
      freeform = filter (t: t != null) (map (m: m.freeform) collected);
      relative = def: lib.drop (length prefix) def.loc;
      freeformConfig = (head freeform).merge prefix (
        map (def: { inherit (def) file; value = setAttrByPath (relative def) def.value; }) tree.unmatched
      );
      config =
        if freeform == [ ] || tree.unmatched == [ ] then tree.config else recursiveUpdate freeformConfig tree.config;
      inherit (tree) options;
      unknown = head tree.unmatched;
      sameOption = filter (def: def.loc == unknown.loc) tree.unmatched;
    in
    {
      inherit options;
      config =
        if freeform == [ ] && tree.unmatched != [ ] then
          throw "The option `${showOption unknown.loc}' does not exist. Definition values:${
            showDefs (concatMap (def: map (value: def // { inherit value; }) (showable def.value)) sameOption)
          }"
        else
          config;
    };

  # What to print of a definition, whose condition may itself fail.
  showable =
    value:
    if has "merge" value then
      concatMap showable value.contents
    else if has "if" value || has "override" value || has "order" value then
      showable value.content
    else
      [ value ];

  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };
  mkOverride = priority: content: {
    _type = "override";
    inherit priority content;
  };
  mkOptionDefault = mkOverride 1500;
  mkOrder = priority: content: {
    _type = "order";
    inherit priority content;
  };
in
{
  inherit
    evalModules mergeDefinitions pushDown showOption showDefs mkIf mkOverride mkOptionDefault mkOrder
    ;
  mkMerge = contents: {
    _type = "merge";
    inherit contents;
  };
  mkDefault = mkOverride 1000;
  mkForce = mkOverride 50;
  mkVMOverride = mkOverride 10;
  mkBefore = mkOrder 500;
  mkAfter = mkOrder 1500;
  mkOption = attrs: attrs // { _type = "option"; };
  mkEnableOption =
    name:
    {
      _type = "option";
      default = false;
      example = true;
      description = "Whether to enable ${name}.";
      type = lib.types.bool;
    };
}
