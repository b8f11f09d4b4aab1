# The options of services.nixos-cache, by names, as data for a page: evaluates the module's declarations with nixpkgs' lib
# (or the lab's stand-in), and nothing of a machine.
{ lib, module }:
let
  inherit (lib) concatLists isAttrs mapAttrsToList showOption;

  declared =
    (lib.evalModules {
      # Its definitions are for options of NixOS, which are not here.
      modules = [
        module
        { config._module.check = false; }
      ];
      specialArgs.pkgs = throw "a declaration of an option reads pkgs";
    }).options;

  # With <name> for what the user chooses, as in an attribute set of submodules.
  options =
    option:
    if option._type or null == "option" then
      [ (describe option) ] ++ options (option.type.getSubOptions option.loc)
    else
      concatLists (mapAttrsToList (_: options) (removeAttrs option [ "_module" ]));

  describe = option: {
    name = showOption option.loc;
    type = option.type.description;
    description = option.description.text or option.description;
    default = if option ? defaultText then option.defaultText.text else shown (option.default or required);
    example = if option ? example then shown option.example else null;
  };

  required = { _type = "required"; };
  shown =
    value:
    if value == required then
      null
    else if isAttrs value && value ? text then
      value.text
    else if value == { } then
      "{ }"
    else if value == [ ] then
      "[ ]"
    else
      builtins.toJSON value;
in
options declared.services.nixos-cache
