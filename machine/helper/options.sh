# The words after a step's name. They are read once, into these variables, which nothing else sets:
#
#   owner            --owner 'STACK COMPONENT': whose step this is (owners.sh)
#   take_over        --take-over: yes; the machine may belong to another stack
#   deployed_by      --by owner: its owner deploys the settings; pulumi: `pulumi up`, whoever else does; empty: not said
#   rebuild_from     --from flake or channel; empty: a flake, if there is one
#   attribute        --attribute NAME of the flake's nixosConfigurations; empty: the host name
#   confirm_within   --confirm-within SECONDS in which a change on trial has to be confirmed
#   only_ours        --only-ours: yes; refuse a rebuild that would change more than the cache
#   may_be_off       --client-may-be-off: yes; the client whose access ends is not always on
#   helper_folder    --helper FOLDER where the helper should be, for `observe`
# `--because WORDS` is for the person who reads the command, and `--module VERSION` makes a new module a new command.
owner=
take_over=no
deployed_by=
rebuild_from=
attribute=
confirm_within=60
only_ours=no
may_be_off=no
helper_folder=

read_options() {
  while [ $# -gt 0 ]; do
    case $1 in
      --owner) owner=${2-} && shift ;;
      --take-over) take_over=yes ;;
      --by) deployed_by=${2-} && shift ;;
      --from) rebuild_from=${2-} && shift ;;
      --attribute) attribute=${2-} && shift ;;
      --confirm-within) confirm_within=${2-} && shift ;;
      --only-ours) only_ours=yes ;;
      --client-may-be-off) may_be_off=yes ;;
      --helper) helper_folder=${2-} && shift ;;
      --because | --module) shift ;;
      *) fail "the helper knows no option $1" ;;
    esac
    shift
  done
}
