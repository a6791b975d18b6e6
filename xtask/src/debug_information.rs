//! The object with the kernel programs, without what only debuggers read.
//!
//! bpf-linker makes the type information (BTF) out of debug information, and leaves both in the
//! object. At every start aya would sort the 100,000 relocations of the latter into tables.

use anyhow::{Context, Result};
use object::build::elf::{Builder, SectionData};
use object::elf::SHT_STRTAB;

/// The same object without its debug information.
pub fn remove(object: &[u8]) -> Result<Vec<u8>> {
    let read = "the object with the kernel programs is no ELF file that can be understood";
    let mut builder = Builder::read(object).context(read)?;
    for section in &mut builder.sections {
        section.delete = is_debug_information(&section.name);
    }
    // Symbols of what is gone, and its relocations.
    builder.delete_orphans();
    // LLVM keeps the names of sections and symbols in one table, which is not understood here.
    let mut tables = builder.sections.iter();
    if !tables.any(|section| matches!(section.data, SectionData::SectionString)) {
        let names = builder.sections.add();
        names.name = ".shstrtab".into();
        names.sh_type = SHT_STRTAB;
        names.sh_addralign = 1;
        names.data = SectionData::SectionString;
    }
    let mut smaller = Vec::new();
    builder.write(&mut smaller).context(
        "the object with the kernel programs cannot be written without debug information",
    )?;
    Ok(smaller)
}

fn is_debug_information(section: &[u8]) -> bool {
    section
        .strip_prefix(b".rel")
        .unwrap_or(section)
        .starts_with(b".debug_")
}

#[cfg(test)]
mod tests {
    use object::Endianness;
    use object::elf::{ET_REL, SHT_PROGBITS};

    use super::*;

    fn names(object: &[u8]) -> Vec<String> {
        let builder = Builder::read(object).unwrap();
        let names = builder.sections.iter().map(|section| &section.name);
        names.map(|name| name.to_string()).collect()
    }

    #[test]
    fn only_what_debuggers_read_is_gone() {
        let mut builder = Builder::new(Endianness::Little, true);
        builder.header.e_type = ET_REL;
        for name in ["kprobe", ".debug_info", ".BTF", ".debug_line", ".BTF.ext"] {
            let section = builder.sections.add();
            section.name = name.into();
            section.sh_type = SHT_PROGBITS;
            section.sh_addralign = 1;
            section.data = SectionData::Data(name.as_bytes().to_vec().into());
        }
        let section = builder.sections.add();
        section.name = ".shstrtab".into();
        section.sh_type = SHT_STRTAB;
        section.data = SectionData::SectionString;
        let mut whole = Vec::new();
        builder.write(&mut whole).unwrap();
        let smaller = remove(&whole).unwrap();
        assert_eq!(names(&smaller), ["kprobe", ".BTF", ".BTF.ext", ".shstrtab"]);
        assert!(remove(b"no object").is_err());
    }
}
