// The completion scripts, written from the commands themselves. They hold all words, so that
// completing starts no process.

import type { CompletionWords } from './words.js';

export function bashScript(commands: readonly CompletionWords[]): string {
  return `# Completion of pinfold for bash: source <(pinfold completion bash)
_pinfold() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]}
  local path=pinfold members options choices i
  for i in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$path $i" in
${pathSteps(commands)}
    esac
  done
  case "$path $before" in
${valueCases(commands)}
  esac
  case "$path" in
${pathCases(commands)}
  esac
  if [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$word"))
  elif [[ -n $members$choices ]]; then
    COMPREPLY=($(compgen -W "$members $choices" -- "$word"))
  else
    COMPREPLY=($(compgen -f -- "$word"))
  fi
}
complete -o filenames -F _pinfold pinfold`;
}

/** A word that names a subcommand leads one level down. */
function pathSteps(commands: readonly CompletionWords[], variable = 'path'): string {
  return commands
    .slice(1)
    .map(({ path }) => `      "${path}") ${variable}="${path}" ;;`)
    .join('\n');
}

function valueCases(commands: readonly CompletionWords[]): string {
  return commands
    .flatMap(({ path, options }) =>
      options
        .filter(({ valued }) => valued)
        .map(({ flag, choices }) => {
          const source = choices.length > 0 ? `-W "${choices.join(' ')}"` : '-f';
          return `    "${path} ${flag}") COMPREPLY=($(compgen ${source} -- "$word")); return ;;`;
        }),
    )
    .join('\n');
}

function pathCases(commands: readonly CompletionWords[]): string {
  return commands
    .map(({ path, members, options, choices }) => {
      const names = members.map(({ name }) => name).join(' ');
      const flags = options.map(({ flag }) => flag).join(' ');
      return `    "${path}") members="${names}" options="${flags}" choices="${choices.join(' ')}" ;;`;
    })
    .join('\n');
}

export function zshScript(commands: readonly CompletionWords[]): string {
  return `#compdef pinfold
# Completion of pinfold for zsh: a file _pinfold in a folder of fpath
_pinfold() {
  local path_=pinfold i
  local -a members options choices
  for i in "\${(@)words[2,CURRENT-1]}"; do
    case "$path_ $i" in
${pathSteps(commands, 'path_')}
    esac
  done
  case "$path_ \${words[CURRENT-1]}" in
${zshValues(commands)}
  esac
  case "$path_" in
${commands.map(zshWords).join('\n')}
  esac
  if [[ \${words[CURRENT]} == -* ]]; then
    _describe -o option options
  elif (( \${#members} )); then
    _describe command members
  elif (( \${#choices} )); then
    compadd -a choices
  else
    _files
  fi
}
if [[ "\${funcstack[1]-}" == _pinfold ]]; then _pinfold "$@"; else compdef _pinfold pinfold; fi`;
}

function zshValues(commands: readonly CompletionWords[]): string {
  return commands
    .flatMap(({ path, options }) =>
      options
        .filter(({ valued }) => valued)
        .map(({ flag, choices }) => {
          const action = choices.length > 0 ? `compadd ${choices.join(' ')}` : '_files';
          return `    "${path} ${flag}") ${action}; return ;;`;
        }),
    )
    .join('\n');
}

function zshWords({ path, members, options, choices }: CompletionWords): string {
  const described = (name: string, summary: string): string =>
    `'${name}:${summary.replaceAll("'", "'\\''").replaceAll(':', '\\:')}'`;
  const names = members.map(({ name, summary }) => described(name, summary)).join(' ');
  const flags = options.map(({ flag, summary }) => described(flag, summary)).join(' ');
  return [
    `    "${path}")`,
    `      members=(${names})`,
    `      options=(${flags})`,
    `      choices=(${choices.join(' ')}) ;;`,
  ].join('\n');
}
